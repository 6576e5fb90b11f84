# SPDX-License-Identifier: MIT
noinst_LIBRARIES += core/vm/libvm.a
core_vm_libvm_a_SOURCES = \
	core/vm/vm.c core/vm/vm.h core/vm/vm-private.h \
	core/vm/vm-devices.c \
	core/vm/vm-loops.c \
	core/vm/vm-run.c \
	core/vm/vm-stop.c \
	core/vm/vm-vsock.c
