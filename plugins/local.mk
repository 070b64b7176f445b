# one folder per algorithm
include plugins/rtn/local.mk
include plugins/signround/local.mk
