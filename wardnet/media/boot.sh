# Debian's initial RAM disk does as boot=wardnet says: there is no system to mount, but one to install.
mount_top() {
    :
}

mount_premount() {
    :
}

mountroot() {
    /bin/sh /wardnet/install
}

mount_bottom() {
    :
}
