"""What a kiosk says, in Vietnamese, with English beside it where a guest has to know."""

from __future__ import annotations

HOME = "Trang đầu"
BACK = "Quay lại"
SCAN = "Quét giấy tờ"
FINISH = "Kết thúc, xóa dữ liệu"
STAY = "Tiếp tục làm"
CLOSE = "Đóng"

FINISH_TITLE = "Kết thúc phiên của bạn?"
FINISH_TEXT = (
    "Mọi thông tin bạn đã nhập, giấy tờ đã quét và lần đăng nhập này sẽ bị xóa khỏi máy.\n"
    "Everything that you typed and scanned will be erased from this machine."
)
WARN_TITLE = "Bạn còn ở đây không?"
WARN_TEXT = (
    "Phiên sẽ tự kết thúc sau {seconds} giây và mọi thông tin sẽ bị xóa.\n"
    "Chạm vào màn hình để tiếp tục.  /  Touch the screen to stay."
)
CHANGE_TITLE = "Máy sắp cập nhật"
CHANGE_TEXT = (
    "Phiên sẽ kết thúc sau {seconds} giây để máy cập nhật, và mọi thông tin sẽ bị xóa.\n"
    "Hãy nộp hoặc hoàn tất ngay việc đang làm; sau đó bạn có thể bắt đầu lại.\n"
    "This machine is about to be updated. Finish what you are doing; you can begin again after it."
)
OFFLINE_TITLE = "Tạm mất kết nối"
OFFLINE_TEXT = (
    "Máy chưa liên lạc được với Cổng dịch vụ công.\n"
    "Màn hình sẽ tự trở lại khi có kết nối; những gì bạn đã nhập vẫn còn.\n"
    "The line is down. This screen comes back by itself."
)
SCAN_TITLE = "Quét giấy tờ"
SCAN_CHOOSE = "Đặt giấy vào máy quét, rồi chọn máy:"
SCANNING = "Đang quét, xin đợi…"
SCANNED = "Đã quét xong trang {number}. Trên trang nộp hồ sơ, bấm «Chọn tệp» và chọn «{name}»."
ERASING = "Đang xóa dữ liệu…"
TELEX = "Gõ dấu:  s sắc   f huyền   r hỏi   x ngã   j nặng   ·   aa â   aw ă   ee ê   oo ô   ow ơ   uw ư   dd đ"
SWITCH = "Tiếng Việt ⇄ abc"
CHOOSE_TITLE = "Chọn bản quét"
CHOOSE_TEXT = "Chọn trang đã quét để đưa vào hồ sơ."
NOTHING_TO_CHOOSE = "Chưa có bản quét nào. Bấm «Quét giấy tờ» ở trên để quét, rồi bấm «Chọn tệp» lần nữa."
