/*
 * A load for one-to-many servers: many subscribers of a server on 127.0.0.1, and who publishes.
 *
 *	subscribers PORT COUNT SIZE single|stream connection|stdout
 *
 * The messages, SIZE bytes each, go to stdout or to a connection like the subscribers'. Prints "ready" on stderr once every subscriber gets what is published, then for each
 * line of stdin publishes as many messages as it says, and prints "done NANOSECONDS": until all
 * subscribers have them. Single messages wait until everybody has the one before; in a stream 100 go
 * by one write.
 */
#include "client.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>

enum { STREAM_WRITE = 100, SIZE_LIMIT = 1000 };

static char messages_of_a_write[STREAM_WRITE * SIZE_LIMIT];
static size_t size;
static int to;

/* Receives until `wanted` bytes have come, over all subscribers. */
static void receive(int epoll, size_t wanted)
{
	static char received[65536];
	struct epoll_event events[256];

	while (wanted) {
		int ready = epoll_wait(epoll, events, 256, 60000);

		if (ready <= 0)
			die("nothing came for 60 s");
		for (int i = 0; i < ready; i++) {
			ssize_t n = recv(events[i].data.fd, received, sizeof(received), 0);

			if (n <= 0 || (size_t)n > wanted)
				die("recv");
			wanted -= (size_t)n;
		}
	}
}

static void write_messages(long count)
{
	size_t length = size * (size_t)count;

	if (write(to, messages_of_a_write, length) != (ssize_t)length)
		die("write");
}

static void publish_single(int epoll, long messages, long subscribers)
{
	for (long i = 0; i < messages; i++) {
		write_messages(1);
		receive(epoll, size * (size_t)subscribers);
	}
}

static void *publish(void *messages)
{
	for (long i = *(long *)messages; i > 0; i -= STREAM_WRITE)
		write_messages(i < STREAM_WRITE ? i : STREAM_WRITE);
	return NULL;
}

static void publish_stream(int epoll, long messages, long subscribers)
{
	pthread_t publisher;

	if (pthread_create(&publisher, NULL, publish, &messages) != 0)
		die("pthread_create");
	receive(epoll, size * (size_t)messages * (size_t)subscribers);
	pthread_join(publisher, NULL);
}

int main(int argc, char **argv)
{
	char line[32];

	if (argc != 6) {
		fprintf(stderr,
			"usage: subscribers PORT COUNT SIZE single|stream connection|stdout\n");
		return 2;
	}
	int port = atoi(argv[1]);
	long count = atol(argv[2]);
	bool stream = strcmp(argv[4], "stream") == 0;
	int epoll = epoll_create1(0);

	size = (size_t)atol(argv[3]);
	to = STDOUT_FILENO;
	raise_descriptor_limit();
	if (size > SIZE_LIMIT)
		die("SIZE");
	memset(messages_of_a_write, 'm', sizeof(messages_of_a_write));
	for (size_t end = size; end <= sizeof(messages_of_a_write); end += size)
		messages_of_a_write[end - 1] = '\n';
	for (long i = 0; i < count; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.fd = dial(port) };

		if (epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event) < 0)
			die("epoll_ctl");
	}
	if (strcmp(argv[5], "connection") == 0)
		to = dial(port); /* the last to be accepted */
	publish_single(epoll, 1, count);
	fputs("ready\n", stderr);
	while (fgets(line, sizeof(line), stdin)) {
		long long begin = nanoseconds();

		if (stream)
			publish_stream(epoll, atol(line), count);
		else
			publish_single(epoll, atol(line), count);
		fprintf(stderr, "done %lld\n", nanoseconds() - begin);
	}
	return 0;
}
