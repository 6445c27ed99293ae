#include "resolve.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/*
 * Shared by the loop and the look-up's thread. Whichever comes last frees it: the thread, if it
 * finds itself cancelled, else the loop once the posted task has run.
 */
struct resolve {
	struct mux_task task;
	struct mux *mux;
	resolve_done *done;
	void *user;
	struct address address;
	struct os_address *found;
	size_t count;
	int error;
	pthread_mutex_t lock;
	bool cancelled;
	bool posted;
};

static uint16_t *port_of(struct os_address *address)
{
	return address->u.any.sa_family == AF_INET6 ? &address->u.v6.sin6_port
						    : &address->u.v4.sin_port;
}

/* RFC 8305, section 4: the families in turn, beginning with that of the first address. */
static void interleave(struct os_address *found, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		int last = found[i - 1].u.any.sa_family;
		size_t other = i;

		while (other < count && found[other].u.any.sa_family == last)
			other++;
		if (other == count || other == i)
			continue;

		struct os_address moved = found[other];

		memmove(&found[i + 1], &found[i], (other - i) * sizeof(*found));
		found[i] = moved;
	}
}

static int collect(
	const struct addrinfo *list, uint16_t port, struct os_address **found, size_t *count)
{
	size_t n = 0;

	for (const struct addrinfo *entry = list; entry; entry = entry->ai_next)
		n++;
	*found = calloc(n ? n : 1, sizeof(**found));
	if (!*found)
		return -ENOMEM;
	n = 0;
	for (const struct addrinfo *entry = list; entry; entry = entry->ai_next) {
		struct os_address *to = &(*found)[n];

		if (entry->ai_family != AF_INET && entry->ai_family != AF_INET6)
			continue;
		memcpy(&to->u, entry->ai_addr, entry->ai_addrlen);
		to->length = entry->ai_addrlen;
		*port_of(to) = htons(port);
		n++;
	}
	interleave(*found, n);
	*count = n;
	return n ? 0 : -EADDRNOTAVAIL;
}

int resolve_now(
	const struct address *address, bool passive, struct os_address **found, size_t *count)
{
	struct addrinfo hints = { .ai_family = address->family };
	struct addrinfo *list;

	if (address_is_local(address)) {
		*found = calloc(1, sizeof(**found));
		if (!*found)
			return -ENOMEM;
		address_local(address, *found);
		*count = 1;
		return 0;
	}
	hints.ai_socktype = address_is_datagram(address) ? SOCK_DGRAM : SOCK_STREAM;
	hints.ai_flags = (passive ? AI_PASSIVE : 0) | (address->numeric ? AI_NUMERICHOST : 0);

	/* without a host the service must be there: any will do, the port is set below */
	int error = os_look_up(
		*address->host ? address->host : NULL, *address->host ? NULL : "1", &hints, &list);

	if (error)
		return error;
	error = collect(list, address->port, found, count);
	freeaddrinfo(list);
	return error;
}

bool resolve_is_quick(const struct address *address)
{
	struct os_address numeric;

	return address_is_local(address) || !*address->host || address->numeric ||
	       address_numeric(address->host, &numeric);
}

static void release(struct resolve *resolve)
{
	pthread_mutex_destroy(&resolve->lock);
	free(resolve->found);
	free(resolve);
}

static void finished(struct mux_task *task)
{
	struct resolve *resolve = container_of(task, struct resolve, task);

	pthread_mutex_lock(&resolve->lock); /* until the thread has let go of it */
	pthread_mutex_unlock(&resolve->lock);
	mux_release(resolve->mux);
	if (!resolve->cancelled)
		resolve->done(resolve->user, resolve->error, resolve->found, resolve->count);
	release(resolve);
}

static void *look_up(void *argument)
{
	struct resolve *resolve = argument;
	bool cancelled;

	resolve->error = resolve_now(&resolve->address, false, &resolve->found, &resolve->count);
	pthread_mutex_lock(&resolve->lock);
	cancelled = resolve->cancelled;
	if (!cancelled) {
		resolve->posted = true;
		mux_post(resolve->mux, &resolve->task);
	}
	pthread_mutex_unlock(&resolve->lock);
	if (cancelled)
		release(resolve);
	return NULL;
}

struct resolve *resolve_start(
	struct mux *mux, const struct address *address, resolve_done *done, void *user, int *error)
{
	struct resolve *resolve = calloc(1, sizeof(*resolve));
	pthread_attr_t attributes;
	pthread_t thread;

	*error = -ENOMEM;
	if (!resolve)
		return NULL;
	resolve->task.run = finished;
	resolve->mux = mux;
	resolve->done = done;
	resolve->user = user;
	resolve->address = *address;
	pthread_mutex_init(&resolve->lock, NULL);
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	*error = -pthread_create(&thread, &attributes, look_up, resolve);
	pthread_attr_destroy(&attributes);
	if (*error) {
		release(resolve);
		return NULL;
	}
	mux_hold(mux);
	return resolve;
}

void resolve_cancel(struct resolve *resolve)
{
	struct mux *mux = resolve->mux;
	bool posted;

	pthread_mutex_lock(&resolve->lock);
	resolve->cancelled = true;
	posted = resolve->posted;
	pthread_mutex_unlock(&resolve->lock);
	if (!posted) /* the thread will find out and free it */
		mux_release(mux);
}

const char *resolve_error(int error)
{
	return error == -ETIME ? "timed out" : os_error(error);
}
