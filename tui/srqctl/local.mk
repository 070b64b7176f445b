# tui/srqctl
