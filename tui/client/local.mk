# tui/client
