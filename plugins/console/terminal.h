/* SPDX-License-Identifier: MIT */
/*
 * terminal.h - raw mode of the user's terminal, and its end on every way out.
 *
 * A process has one terminal and signal handlers have no arguments, so this is the one place of the plugin with
 * static state: whoever took the terminal has it until terminal_give_back(). `capsa console` is built with this file
 * too.
 *
 * RESTORED: by terminal_give_back(), at exit(3), when the plugin is unloaded, and by handlers for the signals that end
 * a process (also the crashes: SIGSEGV, SIGABRT, ...), which put the former action back and let the signal do its work.
 * While SIGTSTP stops the process the terminal is the shell's. Only kill -9 leaves it raw.
 *
 * SIGNALS. A signalfd would need SIGWINCH blocked in every thread, those of libraries too; a handler that writes to
 * an eventfd works whichever thread gets the signal. Handlers that were there before are called after ours, and what
 * somebody installed after us is left alone.
 *
 * BACKGROUND. A background process that changes the terminal or reads from it is stopped by the kernel: both is done
 * in the foreground only (tcgetpgrp), see terminal_ready().
 */
#ifndef CONSOLE_TERMINAL_H
#define CONSOLE_TERMINAL_H

#include <stdbool.h>

/*
 * Takes the terminal `fd`, which must stay open. In *event_fd (an eventfd, ours): readable when the window's size
 * may have changed or the process was continued. 0, -EBUSY: taken already, or -errno.
 */
int terminal_take(int fd, int *event_fd);
/* To be called when it is, before terminal_ready() and terminal_window(): what happens later makes it readable again. */
void terminal_hear(void);
/* True in the foreground, where it makes the terminal raw if it is not: then it may be read. */
bool terminal_ready(void);
/* Any number of times. */
void terminal_give_back(void);

/* Size of the window of the terminal `fd`, in characters; false: it has none. */
bool terminal_window(int fd, unsigned *cols, unsigned *rows);

#endif
