# daemon/srqd
