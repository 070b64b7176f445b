# sources of core/proto
