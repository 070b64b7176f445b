include tui/client/local.mk
include tui/srqctl/local.mk
