# sources of core/eval
