/*
 * Handles that only a thread can wait for (OS_BLOCKING), over pipes: the loop is never held up, no
 * byte is lost, and nothing is read that nobody asked for.
 */
#include "each_loop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* One end in the loop, the other the test's. */
struct end {
	struct mux_io io;
	struct mux_op op;
	int other;
	int called;
	ssize_t result;
	char bytes[4096]; /* all that was received */
	size_t length;
	void (*then)(struct end *end);
};

static void called(struct mux_op *op, ssize_t result)
{
	struct end *end = container_of(op, struct end, op);

	end->called++;
	end->result = result;
	if (op->kind == MUX_RECV && result > 0) {
		assert_true(end->length + (size_t)result <= sizeof(end->bytes));
		memcpy(end->bytes + end->length, op->data, (size_t)result);
		end->length += (size_t)result;
	}
	if (end->then)
		end->then(end);
}

static void close_end(struct end *end)
{
	mux_close(&end->io, NULL);
}

static void receive(struct end *end)
{
	mux_recv(&end->io, &end->op, called);
}

static void attach(struct end *end, int ours, int other)
{
	memset(end, 0, sizeof(*end));
	end->other = other;
	assert_int_equal(mux_attach(mux, &end->io, ours, OS_BLOCKING), 0);
}

static void reader(struct end *end)
{
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	attach(end, fds[0], fds[1]);
}

static void writer(struct end *end)
{
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0); /* read in the loop's own thread */
	attach(end, fds[1], fds[0]);
}

static void put(const struct end *end, const char *text)
{
	assert_int_equal(write(end->other, text, strlen(text)), strlen(text));
}

static void receive_to_the_end(struct end *end)
{
	if (end->result > 0)
		receive(end);
	else
		close_end(end);
}

static void bytes_and_the_end_are_received(void **state)
{
	struct end end;

	(void)state;
	reader(&end);
	put(&end, "hello");
	close(end.other);
	end.then = receive_to_the_end;
	receive(&end);
	assert_int_equal(end.called, 0);
	assert_int_equal(mux_run(mux), 0);
	assert_int_equal(end.result, 0);
	assert_int_equal(end.length, 5);
	assert_memory_equal(end.bytes, "hello", 5);
}

static struct end *ticking;
static int ticks;

/* The loop goes on while the thread waits: the tenth tick is what ends that. */
static void tick(struct mux_timer *timer)
{
	if (++ticks == 10)
		put(ticking, "late");
	else
		mux_timer_start(mux, timer, 1, tick);
}

static void the_loop_runs_while_a_read_waits(void **state)
{
	struct end end;
	struct mux_timer timer = { 0 };

	(void)state;
	reader(&end);
	end.then = close_end;
	receive(&end);
	ticking = &end;
	ticks = 0;
	mux_timer_start(mux, &timer, 1, tick);
	assert_int_equal(mux_run(mux), 0);
	assert_int_equal(ticks, 10);
	assert_memory_equal(end.bytes, "late", 4);
	close(end.other);
}

static void nothing_is_read_before_it_is_asked_for(void **state)
{
	struct end end;
	int waiting = 0;
	int copy;

	(void)state;
	reader(&end);
	put(&end, "hello");
	copy = dup(end.io.fd);
	close_end(&end);
	assert_int_equal(mux_run(mux), 0);
	assert_int_equal(ioctl(copy, FIONREAD, &waiting), 0);
	assert_int_equal(waiting, 5);
	close(copy);
	close(end.other);
}

static void ask_again(struct mux_timer *timer)
{
	(void)timer;
	receive(ticking);
}

static void put_then_ask_again(struct mux_timer *timer)
{
	put(ticking, "kept");
	ticking->then = close_end;
	mux_timer_start(mux, timer, 20, ask_again);
}

static void a_cancelled_read_keeps_its_bytes_for_the_next(void **state)
{
	struct end end;
	struct mux_timer timer = { 0 };

	(void)state;
	reader(&end);
	receive(&end);
	mux_cancel(&end.op);
	ticking = &end;
	mux_timer_start(mux, &timer, 1, put_then_ask_again);
	assert_int_equal(mux_run(mux), 0);
	assert_int_equal(end.called, 2);
	assert_int_equal(end.length, 4);
	assert_memory_equal(end.bytes, "kept", 4);
	close(end.other);
}

enum { KEPT = 5 };
static struct mux_buf *kept[KEPT];
static int keeping;

static void keep(struct mux_op *op, ssize_t result)
{
	struct end *end = container_of(op, struct end, op);

	assert_int_equal(result, 5);
	assert_ptr_equal(op->data, op->buf->data);
	kept[keeping++] = mux_buf_ref(mux_buf_ref(op->buf)); /* for two, as a hub does */
	if (keeping == KEPT) {
		close_end(end);
		return;
	}
	put(end, "later");
	mux_recv(&end->io, op, keep);
}

static void what_a_callback_keeps_is_its_own(void **state)
{
	struct end end;

	(void)state;
	reader(&end);
	keeping = 0;
	put(&end, "first");
	mux_recv(&end.io, &end.op, keep);
	assert_int_equal(mux_run(mux), 0);
	for (int i = 0; i < KEPT; i++) {
		assert_int_equal(kept[i]->refs, 2);
		assert_memory_equal(kept[i]->data, i ? "later" : "first", 5);
		mux_buf_unref(kept[i]);
		mux_buf_unref(kept[i]);
	}
	close(end.other);
}

static size_t drained;

static void drain(struct mux_timer *timer)
{
	char bytes[65536];
	ssize_t n = read(ticking->other, bytes, sizeof(bytes));

	assert_true(n > 0 || errno == EAGAIN);
	for (ssize_t i = 0; i < n; i++)
		assert_int_equal((unsigned char)bytes[i], (drained + (size_t)i) % 251);
	drained += n > 0 ? (size_t)n : 0;
	if (drained < 1000000)
		mux_timer_start(mux, timer, 0, drain);
}

static void a_write_to_a_full_pipe_is_complete_and_holds_nobody_up(void **state)
{
	struct end end;
	struct mux_timer timer = { 0 };
	struct mux_buf *buf = mux_buf_new(1000000);

	(void)state;
	for (size_t i = 0; i < buf->size; i++)
		buf->data[i] = (unsigned char)(i % 251);
	writer(&end);
	end.then = close_end;
	mux_send(&end.io, &end.op, buf, buf->data, buf->size, called);
	mux_buf_unref(buf);
	ticking = &end;
	drained = 0;
	mux_timer_start(mux, &timer, 20, drain); /* by then the pipe is full */
	assert_int_equal(mux_run(mux), 0);
	assert_int_equal(end.result, 1000000);
	while (drained < 1000000)
		drain(&timer);
	mux_timer_stop(&timer);
	close(end.other);
}

static void a_write_that_fails_says_why(void **state)
{
	struct end end;
	struct mux_buf *buf = mux_buf_new(10);

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	memset(buf->data, 'x', buf->size);
	writer(&end);
	close(end.other);
	end.then = close_end;
	mux_send(&end.io, &end.op, buf, buf->data, buf->size, called);
	mux_buf_unref(buf);
	assert_int_equal(mux_run(mux), 0);
	assert_int_equal(end.result, -EPIPE);
}

static void closing_leaves_a_thread_that_waits(void **state)
{
	struct end end;

	(void)state;
	reader(&end);
	receive(&end);
	close_end(&end);
	assert_int_equal(mux_run(mux), 0);
	assert_int_equal(end.result, -ECANCELED);
	close(end.other); /* and now it goes */
}

static void a_detached_descriptor_stays_open(void **state)
{
	struct end end;
	char byte;

	(void)state;
	reader(&end);
	put(&end, "x");
	assert_int_equal(mux_detach(&end.io), end.io.fd);
	assert_int_equal(read(end.io.fd, &byte, 1), 1);
	close(end.io.fd);
	close(end.other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_A_LOOP(bytes_and_the_end_are_received),
		ON_A_LOOP(the_loop_runs_while_a_read_waits),
		ON_A_LOOP(nothing_is_read_before_it_is_asked_for),
		ON_A_LOOP(a_cancelled_read_keeps_its_bytes_for_the_next),
		ON_A_LOOP(what_a_callback_keeps_is_its_own),
		ON_A_LOOP(a_write_to_a_full_pipe_is_complete_and_holds_nobody_up),
		ON_A_LOOP(a_write_that_fails_says_why),
		ON_A_LOOP(closing_leaves_a_thread_that_waits),
		ON_A_LOOP(a_detached_descriptor_stays_open),
	};

	return run_on_each_loop("pump", tests, sizeof(tests) / sizeof(tests[0]));
}
