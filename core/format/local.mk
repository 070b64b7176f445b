# sources of core/format
