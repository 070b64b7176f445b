# sources of core/text
