# one folder per algorithm
include plugins/deltaloss/local.mk
include plugins/knapsack/local.mk
include plugins/rtn/local.mk
include plugins/signround/local.mk
