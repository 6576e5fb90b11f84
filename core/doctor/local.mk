# SPDX-License-Identifier: MIT
noinst_LIBRARIES += core/doctor/libdoctor.a
core_doctor_libdoctor_a_SOURCES = \
	core/doctor/doctor.h core/doctor/doctor-private.h \
	core/doctor/host.c \
	core/doctor/machine.c \
	core/doctor/selftest.c core/doctor/selftest.h \
	core/doctor/selftest-guest.S
