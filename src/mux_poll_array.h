/*
 * What poll(2) is handed at each wait, for the backends that work like it: one dense array. A handle
 * knows its place in it (`slot`); what leaves is replaced by the last. The functions are those of a
 * backend (mux_backend.h).
 */
#ifndef MUXCAT_MUX_POLL_ARRAY_H
#define MUXCAT_MUX_POLL_ARRAY_H

#include "mux_backend.h"

/* As os_poll. */
typedef int poll_array_waiter(struct pollfd *fds, size_t count, int timeout);

int poll_array_open(void **state);
void poll_array_close(void *state);
int poll_array_want(void *state, struct mux_io *io, unsigned interest);
int poll_array_wait(void *state, int timeout, poll_array_waiter *waiter);

#endif
