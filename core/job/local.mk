# sources of core/job
