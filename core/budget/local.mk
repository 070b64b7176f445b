# sources of core/budget
