# sources of core/tape
