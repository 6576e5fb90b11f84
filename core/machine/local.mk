# SPDX-License-Identifier: MIT
noinst_LIBRARIES += core/machine/libmachine.a
core_machine_libmachine_a_SOURCES = \
	core/machine/acpi.c core/machine/acpi.h \
	core/machine/aml.c core/machine/aml.h \
	core/machine/bus.c core/machine/bus.h \
	core/machine/cpuid.c core/machine/cpuid.h \
	core/machine/entry.h \
	core/machine/irq.c core/machine/irq.h \
	core/machine/kvm.c core/machine/kvm.h \
	core/machine/machine.c core/machine/machine.h \
	core/machine/memory.c core/machine/memory.h \
	core/machine/msix.c core/machine/msix.h \
	core/machine/msr.h \
	core/machine/pci.c core/machine/pci.h \
	core/machine/pci-bar.c core/machine/pci-private.h \
	core/machine/power.c core/machine/power.h \
	core/machine/pvpanic.c core/machine/pvpanic.h \
	core/machine/serial.c core/machine/serial.h \
	core/machine/vcpu.c core/machine/vcpu.h \
	core/machine/vcpu-failure.c core/machine/vcpu-failure.h

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/bus_test tests/unit/irq_test tests/unit/msix_test tests/unit/pci_test tests/unit/pvpanic_test
TESTS += tests/unit/bus_test tests/unit/irq_test tests/unit/msix_test tests/unit/pci_test tests/unit/pvpanic_test
check_PROGRAMS += tests/unit/acpi_test tests/unit/cpuid_test tests/unit/memory_test tests/unit/power_test tests/unit/serial_test tests/unit/vcpu_failure_test tests/unit/vcpu_test
TESTS += tests/unit/acpi_test tests/unit/cpuid_test tests/unit/memory_test tests/unit/power_test tests/unit/serial_test tests/unit/vcpu_failure_test tests/unit/vcpu_test
endif
tests_unit_memory_test_SOURCES = tests/unit/memory_test.c
tests_unit_memory_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_memory_test_LDADD = core/machine/libmachine.a $(UNIT_LIBS)

tests_unit_bus_test_SOURCES = tests/unit/bus_test.c
tests_unit_bus_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_bus_test_LDADD = core/machine/libmachine.a $(UNIT_LIBS)

tests_unit_irq_test_SOURCES = tests/unit/irq_test.c
tests_unit_irq_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_irq_test_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=ioctl
tests_unit_irq_test_LDADD = core/machine/libmachine.a $(UNIT_LIBS)

tests_unit_msix_test_SOURCES = tests/unit/msix_test.c
tests_unit_msix_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_msix_test_LDADD = core/machine/libmachine.a $(UNIT_LIBS)

tests_unit_pci_test_SOURCES = tests/unit/pci_test.c
tests_unit_pci_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_pci_test_LDADD = core/machine/libmachine.a $(UNIT_LIBS)

tests_unit_pvpanic_test_SOURCES = tests/unit/pvpanic_test.c
tests_unit_pvpanic_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_pvpanic_test_LDADD = core/machine/libmachine.a $(UNIT_LIBS)

tests_unit_vcpu_failure_test_SOURCES = tests/unit/vcpu_failure_test.c
tests_unit_vcpu_failure_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_vcpu_failure_test_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=ioctl
tests_unit_vcpu_failure_test_LDADD = core/machine/libmachine.a $(UNIT_LIBS)

tests_unit_vcpu_test_SOURCES = tests/unit/vcpu_test.c
tests_unit_vcpu_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_vcpu_test_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=ioctl
tests_unit_vcpu_test_LDADD = core/machine/libmachine.a $(UNIT_LIBS)

tests_unit_power_test_SOURCES = tests/unit/power_test.c
tests_unit_power_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_power_test_LDADD = core/machine/libmachine.a $(UNIT_LIBS)

tests_unit_serial_test_SOURCES = tests/unit/serial_test.c
tests_unit_serial_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_serial_test_LDADD = core/machine/libmachine.a $(UNIT_LIBS)

tests_unit_acpi_test_SOURCES = tests/unit/acpi_test.c
tests_unit_acpi_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_acpi_test_LDADD = core/machine/libmachine.a $(UNIT_LIBS)

dist_check_SCRIPTS += tests/unit/acpi-tables.sh
TESTS += tests/unit/acpi-tables.sh

tests_unit_cpuid_test_SOURCES = tests/unit/cpuid_test.c
tests_unit_cpuid_test_CFLAGS = $(UNIT_CFLAGS)
tests_unit_cpuid_test_LDADD = core/machine/libmachine.a $(UNIT_LIBS)
