# one folder per algorithm
include plugins/awq/local.mk
include plugins/deltaloss/local.mk
include plugins/diffusion-qat/local.mk
include plugins/diffusion-ptq/local.mk
include plugins/gptq/local.mk
include plugins/hqq/local.mk
include plugins/knapsack/local.mk
include plugins/omniquant/local.mk
include plugins/rtn/local.mk
include plugins/signround/local.mk
include plugins/smoothquant/local.mk
include plugins/teq/local.mk
