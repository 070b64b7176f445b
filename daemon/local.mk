include daemon/srqd/local.mk
include daemon/srq-worker/local.mk
