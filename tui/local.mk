include tui/client/local.mk
include tui/srqctl/local.mk
include tui/srqtop/data.mk
include tui/srqtop/screen.mk
