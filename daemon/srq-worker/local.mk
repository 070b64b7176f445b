# daemon/srq-worker
