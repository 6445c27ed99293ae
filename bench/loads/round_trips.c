/*
 * A load for echo servers: opens idle and busy connections to 127.0.0.1, then at each line on stdin
 * makes the busy ones do round trips, one outstanding on each, and tells when they are done.
 *
 *	round_trips PORT IDLE BUSY TRIPS SIZE
 *
 * It prints "ready" once everything is connected and has talked, then "done NANOSECONDS MEDIAN P99" for each line
 * read: the wall time of TRIPS round trips over all busy connections together, and of a single one.
 * It ends at the end of stdin.
 */
#include "client.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

struct client {
	int fd;
	size_t received; /* bytes of the reply to what was sent last */
	long long asked_at;
};

/* Round trips of each before the first that count: a connection's first are its slowest. */
enum { WARM_UP = 10 };

static char message[65536];

static void ask(struct client *client, size_t size)
{
	client->asked_at = nanoseconds();
	if (send(client->fd, message, size, MSG_NOSIGNAL) != (ssize_t)size)
		die("send");
}

/* True once the whole reply is there. */
static int take_reply(struct client *client, size_t size)
{
	static char reply[65536];
	ssize_t n = recv(client->fd, reply, sizeof(reply), MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN))
		die("recv");
	if (n > 0 && (client->received + (size_t)n > size ||
			     memcmp(reply, message + client->received, (size_t)n) != 0)) {
		fputs("the reply is not what was sent\n", stderr);
		exit(1);
	}
	if (n > 0)
		client->received += (size_t)n;
	if (client->received < size)
		return 0;
	client->received = 0;
	return 1;
}

static int by_size(const void *a, const void *b)
{
	long long first = *(const long long *)a;
	long long second = *(const long long *)b;

	return (first > second) - (first < second);
}

/* `took` gets the nanoseconds of each trip. */
static void run(
	int epoll, struct client *clients, long busy, long trips, size_t size, long long *took)
{
	struct epoll_event events[256];
	long asked = 0;
	long done = 0;

	for (long i = 0; i < busy && asked < trips; i++, asked++)
		ask(&clients[i], size);
	while (done < trips) {
		int ready = epoll_wait(epoll, events, 256, 60000);

		if (ready <= 0)
			die("no reply within 60 s");
		for (int i = 0; i < ready; i++) {
			struct client *client = events[i].data.ptr;

			if (!take_reply(client, size))
				continue;
			took[done++] = nanoseconds() - client->asked_at;
			if (asked < trips) {
				ask(client, size);
				asked++;
			}
		}
	}
}

int main(int argc, char **argv)
{
	char line[16];

	if (argc != 6) {
		fprintf(stderr, "usage: round_trips PORT IDLE BUSY TRIPS SIZE\n");
		return 2;
	}
	int port = atoi(argv[1]);
	long idle = atol(argv[2]);
	long busy = atol(argv[3]);
	long trips = atol(argv[4]);
	size_t size = (size_t)atol(argv[5]);
	struct client *clients = calloc((size_t)busy + 1, sizeof(*clients));
	long long *took = calloc((size_t)trips + 1, sizeof(*took));
	int epoll = epoll_create1(0);

	raise_descriptor_limit();
	if (!clients || !took || epoll < 0 || size > sizeof(message))
		die("start");
	for (size_t i = 0; i < size; i++)
		message[i] = (char)(i % 251);
	for (long i = 0; i < idle; i++)
		dial(port);
	for (long i = 0; i < busy; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.ptr = &clients[i] };

		clients[i].fd = dial(port);
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, clients[i].fd, &event) < 0)
			die("epoll_ctl");
	}
	run(epoll, clients, busy, trips < WARM_UP * busy ? trips : WARM_UP * busy, size, took);
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		long long begin = nanoseconds();
		long long end;

		run(epoll, clients, busy, trips, size, took);
		end = nanoseconds();
		qsort(took, (size_t)trips, sizeof(*took), by_size);
		printf("done %lld %lld %lld\n", end - begin, took[trips / 2],
			took[trips * 99 / 100]);
		fflush(stdout);
	}
	free(took);
	free(clients);
	return 0;
}
