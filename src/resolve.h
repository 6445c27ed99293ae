/*
 * Look-ups: from an address of the command line to socket addresses, in the order in which to try
 * them. getaddrinfo(3) blocks for as long as it likes, so a name is looked up by a thread of its
 * own.
 */
#ifndef MUXCAT_RESOLVE_H
#define MUXCAT_RESOLVE_H

#include "address.h"
#include "mux.h"

struct resolve;

/* `error` 0: `count` (> 0) addresses, valid during the call. Otherwise see resolve_error. */
typedef void resolve_done(void *user, int error, const struct os_address *found, size_t count);

/* Start a look-up. NULL when it could not be started (no memory, no thread), with *error set. */
struct resolve *resolve_start(
	struct mux *mux, const struct address *address, resolve_done *done, void *user, int *error);

/* Forget it: `done` is not called any more. The thread ends by itself. */
void resolve_cancel(struct resolve *resolve);

/*
 * The same at once and in this thread, for servers before they serve (`passive`: no host means
 * every address) and for what needs no look-up. *found is the caller's to free.
 */
int resolve_now(
	const struct address *address, bool passive, struct os_address **found, size_t *count);

/* True if resolve_now would not have to ask anybody. */
bool resolve_is_quick(const struct address *address);

/* An error of a look-up or of the system, in words. Valid until the next call. */
const char *resolve_error(int error);

#endif
