# sources of core/grid
