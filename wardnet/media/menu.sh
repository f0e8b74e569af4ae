#!/bin/sh
# Kept by wardnet. Who alone may edit what is started, or type commands, is a user that does not exist. All entries start for
# whoever is there: GRUB's own scripts write this variable into each of them.
cat <<'GRUB'
set superusers="wardnet"
export superusers
menuentry_id_option="--unrestricted $menuentry_id_option"
GRUB
