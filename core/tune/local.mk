# sources of core/tune
