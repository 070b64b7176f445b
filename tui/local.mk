include tui/client/local.mk
include tui/srqctl/local.mk
include tui/srqtop/local.mk
