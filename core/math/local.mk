# sources of core/math
