# sources of core/model
core_libsrq_la_SOURCES += core/model/model.h core/model/quantized.h
