/*
 * The core's contract, for every backend: each operation calls back once, from the loop; and the
 * faults that such cores have had, each with a test that shows it handled.
 */
#include "each_loop.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static bool submitting; /* a callback now would come from inside a submit */

struct end {
	struct mux_io io;
	struct mux_op recv_op;
	struct mux_op send_op;
	int received; /* callbacks */
	int sent;
	int closed;
	ssize_t recv_result;
	ssize_t send_result;
	size_t bytes;
	void (*then)(struct end *end);
};

static void closed(struct mux_io *io)
{
	container_of(io, struct end, io)->closed++;
}

static void received(struct mux_op *op, ssize_t result)
{
	struct end *end = container_of(op, struct end, recv_op);

	assert_false(submitting);
	end->received++;
	end->recv_result = result;
	if (result > 0)
		end->bytes += (size_t)result;
	if (end->then)
		end->then(end);
}

static void sent(struct mux_op *op, ssize_t result)
{
	struct end *end = container_of(op, struct end, send_op);

	assert_false(submitting);
	end->sent++;
	end->send_result = result;
}

static void receive(struct end *end)
{
	submitting = true;
	mux_recv(&end->io, &end->recv_op, received);
	submitting = false;
}

static void send_bytes(struct end *end, struct mux_buf *buf)
{
	submitting = true;
	mux_send(&end->io, &end->send_op, buf, buf->data, buf->size, sent);
	submitting = false;
}

static void close_end(struct end *end)
{
	mux_close(&end->io, closed);
}

static void receive_to_the_end(struct end *end)
{
	if (end->recv_result > 0)
		receive(end);
	else
		close_end(end);
}

/* A connected pair: `ours` in the loop, the other descriptor returned. */
static int pair(struct end *ours)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	memset(ours, 0, sizeof(*ours));
	assert_int_equal(mux_attach(mux, &ours->io, fds[0], OS_SOCKET), 0);
	return fds[1];
}

static void put(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* A buffer that no socket takes at once. */
static struct mux_buf *big_buffer(void)
{
	struct mux_buf *buf = mux_buf_new(8 * 1024 * 1024);

	assert_non_null(buf);
	memset(buf->data, 'x', buf->size);
	return buf;
}

static void each_operation_calls_back_once_and_from_the_loop(void **state)
{
	struct end end;
	int peer = pair(&end);
	struct mux_buf *buf = mux_buf_new(5);

	(void)state;
	memcpy(buf->data, "hello", 5);
	put(peer, "abc");
	receive(&end);
	send_bytes(&end, buf);
	mux_buf_unref(buf);
	assert_int_equal(end.received + end.sent, 0);
	end.then = close_end;
	assert_int_equal(mux_run(mux), 0);
	assert_int_equal(end.received, 1);
	assert_int_equal(end.sent, 1);
	assert_int_equal(end.recv_result, 3);
	assert_int_equal(end.send_result, 5);
	assert_int_equal(end.closed, 1);
	close(peer);
}

static bool send_now(struct end *end, struct mux_buf *buf)
{
	bool gone;

	submitting = true;
	gone = mux_send_now(&end->io, &end->send_op, buf, buf->data, buf->size, sent);
	submitting = false;
	return gone;
}

/* The peer of `end`, which takes what is there each millisecond. */
struct taker {
	struct mux_timer timer;
	struct end *end;
	int fd;
	size_t left;
};

static void take(struct mux_timer *timer)
{
	struct taker *taker = container_of(timer, struct taker, timer);
	char taken[64 * 1024];
	ssize_t n;

	while ((n = read(taker->fd, taken, sizeof(taken))) > 0)
		taker->left -= (size_t)n;
	if (taker->left || !taker->end->sent)
		mux_timer_start(mux, timer, 1, take);
	else
		close_end(taker->end);
}

static void a_send_that_is_over_at_once_does_not_call_back(void **state)
{
	struct end end;
	struct taker taker = { .end = &end, .fd = pair(&end) };
	struct mux_buf *small = mux_buf_new(5);
	struct mux_buf *big = big_buffer();

	(void)state;
	taker.left = small->size + big->size;
	assert_true(send_now(&end, small));
	assert_int_equal(small->refs, 1);
	assert_false(mux_op_outstanding(&end.send_op));
	mux_buf_unref(small);
	assert_false(send_now(&end, big));
	assert_true(mux_op_outstanding(&end.send_op));
	mux_buf_unref(big);
	mux_timer_start(mux, &taker.timer, 0, take);
	assert_int_equal(mux_run(mux), 0);
	assert_int_equal(end.sent, 1);
	assert_int_equal(end.send_result, 8 * 1024 * 1024);
	close(taker.fd);
}

/* ---- stale events ---- */

static struct end victim, newcomer;
static int newcomer_peer;
static struct mux_timer later;

static void write_to_newcomer(struct mux_timer *timer)
{
	(void)timer;
	assert_int_equal(newcomer.received, 0);
	put(newcomer_peer, "d");
}

static void replace_victim(struct end *end)
{
	if (!victim.io.closing) {
		close_end(&victim);
		newcomer_peer = pair(&newcomer);
		newcomer.then = close_end;
		receive(&newcomer);
		mux_timer_start(mux, &later, 20, write_to_newcomer);
	}
	close_end(end);
}

static void a_stale_event_does_not_meet_a_reused_descriptor(void **state)
{
	struct end first, second;
	int peers[3] = { pair(&first), pair(&victim), pair(&second) };

	/* all are ready in one batch; whichever of the outer two comes first closes the victim */
	(void)state;
	first.then = second.then = replace_victim;
	receive(&first);
	receive(&victim);
	receive(&second);
	for (int i = 0; i < 3; i++)
		put(peers[i], "x");
	assert_int_equal(mux_run(mux), 0);
	assert_int_equal(victim.received, 1); /* its byte, or -ECANCELED, but not both */
	assert_int_equal(victim.closed, 1);
	assert_int_equal(newcomer.received, 1);
	assert_int_equal(newcomer.bytes, 1);
	for (int i = 0; i < 3; i++)
		close(peers[i]);
	close(newcomer_peer);
}

static void closing_cancels_what_is_in_flight(void **state)
{
	struct end end;
	int peer = pair(&end);
	struct mux_buf *buf = big_buffer();

	(void)state;
	receive(&end);
	send_bytes(&end, buf);
	mux_buf_unref(buf); /* the core holds it until the callback */
	close_end(&end);
	assert_int_equal(mux_run(mux), 0);
	assert_int_equal(end.recv_result, -ECANCELED);
	assert_int_equal(end.send_result, -ECANCELED);
	assert_true(end.send_op.moved > 0);
	assert_int_equal(end.received, 1);
	assert_int_equal(end.sent, 1);
	assert_int_equal(end.closed, 1);
	close(peer);
}

static void a_cancelled_operation_calls_back_once(void **state)
{
	struct end end;
	int peer = pair(&end);

	(void)state;
	receive(&end);
	mux_cancel(&end.recv_op);
	mux_cancel(&end.recv_op);
	end.then = close_end;
	assert_int_equal(mux_run(mux), 0);
	assert_int_equal(end.received, 1);
	assert_int_equal(end.recv_result, -ECANCELED);
	close(peer);
}

/* ---- buffers ---- */

static struct mux_buf *kept;
static const unsigned char *kept_data;

static void keep_the_first(struct end *end)
{
	if (!kept) {
		kept = mux_buf_ref(end->recv_op.buf);
		kept_data = end->recv_op.data;
	}
	receive_to_the_end(end);
}

static void write_second(struct mux_timer *timer)
{
	int *peer = (int *)(timer + 1);

	put(*peer, "second");
	close(*peer);
}

static void a_lent_buffer_that_is_kept_is_not_written_again(void **state)
{
	struct {
		struct mux_timer timer;
		int peer;
	} writer = { { 0 }, -1 };
	struct end end;

	(void)state;
	kept = NULL;
	writer.peer = pair(&end);
	put(writer.peer, "first!");
	end.then = keep_the_first;
	receive(&end);
	mux_timer_start(mux, &writer.timer, 10, write_second);
	assert_int_equal(mux_run(mux), 0);
	assert_int_equal(end.bytes, 12);
	assert_memory_equal(kept_data, "first!", 6);
	mux_buf_unref(kept);
}

static void the_bytes_of_a_buffer_begin_a_cache_line(void **state)
{
	enum { LINE = 64, BUFFERS = 16 };
	struct mux_buf *bufs[BUFFERS];

	(void)state;
	for (size_t i = 0; i < BUFFERS; i++) {
		bufs[i] = mux_buf_new(1 + 10 * i);
		assert_non_null(bufs[i]);
		assert_int_equal((uintptr_t)bufs[i]->data % LINE, 0);
		memset(bufs[i]->data, 1, bufs[i]->size);
	}
	for (size_t i = 0; i < BUFFERS; i++)
		mux_buf_unref(bufs[i]);
}

static void few_bytes_of_a_big_buffer_are_kept_as_a_copy(void **state)
{
	struct mux_buf *buf = mux_buf_new(1000);
	const unsigned char *few = buf->data + 10;
	const unsigned char *many = buf->data;

	(void)state;
	memcpy(buf->data + 10, "abc", 3);

	struct mux_buf *copy = mux_buf_keep(buf, &few, 3);
	struct mux_buf *same = mux_buf_keep(buf, &many, 900);

	assert_ptr_not_equal(copy, buf);
	assert_memory_equal(few, "abc", 3);
	assert_ptr_equal(same, buf);
	assert_int_equal(buf->refs, 2);
	mux_buf_unref(copy);
	mux_buf_unref(same);
	mux_buf_unref(buf);
}

/* ---- ends ---- */

static void what_came_before_a_hang_up_is_received(void **state)
{
	struct end end;
	int peer = pair(&end);
	char block[1000] = "";
	size_t written = 0;

	(void)state;
	while (write(peer, block, sizeof(block)) > 0)
		written += sizeof(block);
	close(peer); /* HUP, with much unread */
	end.then = receive_to_the_end;
	receive(&end);
	assert_int_equal(mux_run(mux), 0);
	assert_int_equal(end.bytes, written);
	assert_int_equal(end.recv_result, 0);
}

/* A short read does not mean that an end that was announced with it will be announced again. */
static void data_and_end_in_one_event_are_both_received(void **state)
{
	struct end end;
	int peer = pair(&end);

	(void)state;
	end.then = receive_to_the_end;
	receive(&end);
	put(peer, "last words");
	shutdown(peer, SHUT_WR);
	assert_int_equal(mux_run(mux), 0);
	assert_int_equal(end.bytes, 10);
	assert_int_equal(end.recv_result, 0);
	close(peer);
}

static struct end *to_close;

static void close_it(struct mux_timer *timer)
{
	(void)timer;
	close_end(to_close);
}

static void a_hung_up_handle_that_nobody_asks_does_not_spin(void **state)
{
	struct end end;
	int peer = pair(&end);
	clock_t cpu;

	(void)state;
	receive(&end); /* and does not ask again */
	put(peer, "x");
	close(peer);
	to_close = &end;
	cpu = clock();
	mux_timer_start(mux, &later, 300, close_it);
	assert_int_equal(mux_run(mux), 0);
	assert_int_equal(end.received, 1);
	assert_true(clock() - cpu < CLOCKS_PER_SEC * 300 / 1000 / 3);
}

/* ---- fairness ---- */

static int turns_of_busy;

static void flood_goes_on(struct end *end)
{
	char block[65536];

	if (end->recv_result < 0)
		return;
	/* the flood never ends by itself: its peer's buffer is filled again at each turn */
	memset(block, 'x', sizeof(block));
	while (write(*(int *)(end + 1), block, sizeof(block)) > 0)
		;
	turns_of_busy++;
	receive(end);
}

static struct end *flooded;

static void quiet_one_heard(struct end *end)
{
	close_end(end);
	close_end(flooded);
}

static void a_busy_connection_does_not_starve_another(void **state)
{
	struct {
		struct end end;
		int peer;
	} busy;
	struct end quiet;
	int quiet_peer;

	(void)state;
	busy.peer = pair(&busy.end);
	fcntl(busy.peer, F_SETFL, O_NONBLOCK);
	quiet_peer = pair(&quiet);
	turns_of_busy = 0;
	flooded = &busy.end;
	busy.end.then = flood_goes_on;
	quiet.then = quiet_one_heard;
	put(busy.peer, "x");
	put(quiet_peer, "x");
	receive(&busy.end);
	receive(&quiet);
	assert_int_equal(mux_run(mux), 0);
	assert_true(turns_of_busy <= 4);
	close(busy.peer);
	close(quiet_peer);
}

/* ---- signals ---- */

static void ignore(int signal)
{
	(void)signal;
}

static void signals_do_not_move_a_deadline(void **state)
{
	struct end end;
	int peer = pair(&end);
	struct itimerval often = { { 0, 5000 }, { 0, 5000 } };
	struct itimerval never = { { 0, 0 }, { 0, 0 } };
	struct sigaction action = { .sa_handler = ignore }; /* no SA_RESTART: EINTR */
	struct sigaction before;
	uint64_t start = os_now();

	(void)state;
	sigaction(SIGALRM, &action, &before);
	setitimer(ITIMER_REAL, &often, NULL);
	receive(&end);
	to_close = &end;
	mux_timer_start(mux, &later, 200, close_it);
	assert_int_equal(mux_run(mux), 0);
	setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGALRM, &before, NULL);
	assert_true(os_now() - start >= 199);
	assert_int_equal(end.recv_result, -ECANCELED);
	close(peer);
}

/* ---- descriptors ---- */

static void a_descriptor_too_high_for_the_backend_is_refused(void **state)
{
	struct end end;
	struct rlimit limit;
	mux_fd most = mux_descriptor_limit(mux);
	int peer = pair(&end);
	int high;
	struct end other;

	(void)state;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	high = fcntl(peer, F_DUPFD, 1500);
	if (high < 0)
		skip();
	memset(&other, 0, sizeof(other));
	if (most) {
		assert_true(high >= most);
		assert_int_equal(mux_attach(mux, &other.io, high, OS_SOCKET), -EMFILE);
		close(high);
	} else {
		assert_int_equal(mux_attach(mux, &other.io, high, OS_SOCKET), 0);
		close_end(&other);
	}
	close_end(&end);
	assert_int_equal(mux_run(mux), 0);
	close(peer);
}

/* epoll refuses regular files and /dev/null: they are always ready. */
static void a_file_is_read_to_its_end(const char *path, size_t size, enum os_kind kind)
{
	struct end end;
	int fd = open(path, O_RDONLY);

	memset(&end, 0, sizeof(end));
	assert_int_equal(mux_attach(mux, &end.io, fd, kind), 0);
	end.then = receive_to_the_end;
	receive(&end);
	assert_int_equal(mux_run(mux), 0);
	assert_int_equal(end.bytes, size);
	assert_int_equal(end.recv_result, 0);
	assert_int_equal(end.closed, 1);
}

static void files_are_read_to_their_end(void **state)
{
	char path[] = "/tmp/muxcat-test-XXXXXX";
	char block[200000] = "";
	int fd = mkstemp(path);

	(void)state;
	assert_int_equal(write(fd, block, sizeof(block)), sizeof(block));
	close(fd);
	a_file_is_read_to_its_end(path, sizeof(block), OS_FILE);
	a_file_is_read_to_its_end(path, sizeof(block), OS_SHARED);
	a_file_is_read_to_its_end("/dev/null", 0, OS_SHARED);
	unlink(path);
}

/* ---- other threads ---- */

enum { THREADS = 4, POSTS = 2000 };

struct post {
	struct mux_task task;
};
static struct post posts[THREADS][POSTS];
static int ran;

static void count_post(struct mux_task *task)
{
	(void)task;
	if (++ran == THREADS * POSTS)
		mux_release(mux);
}

static void *post_all(void *argument)
{
	struct post *own = argument;

	for (int i = 0; i < POSTS; i++)
		mux_post(mux, &own[i].task);
	return NULL;
}

static void every_post_of_every_thread_runs_once(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	memset(posts, 0, sizeof(posts));
	ran = 0;
	mux_hold(mux);
	for (int t = 0; t < THREADS; t++) {
		for (int i = 0; i < POSTS; i++)
			posts[t][i].task.run = count_post;
		assert_int_equal(pthread_create(&threads[t], NULL, post_all, posts[t]), 0);
	}
	assert_int_equal(mux_run(mux), 0);
	for (int t = 0; t < THREADS; t++)
		pthread_join(threads[t], NULL);
	assert_int_equal(ran, THREADS * POSTS);
}

/* ---- timers ---- */

static struct mux_timer timers[100];
static uint64_t last_due;
static int fired;

static void in_order(struct mux_timer *timer)
{
	assert_true(timer->due >= last_due);
	last_due = timer->due;
	if (++fired == 50)
		mux_release(mux);
}

static void timers_fire_once_in_order_moved_and_stopped_ones_too(void **state)
{
	(void)state;
	memset(timers, 0, sizeof(timers));
	fired = 0;
	last_due = 0;
	mux_hold(mux);
	for (int i = 0; i < 100; i++)
		mux_timer_start(mux, &timers[i], (uint64_t)(i * 37 % 50), in_order);
	for (int i = 0; i < 100; i += 4) /* later, and then sooner */
		mux_timer_start(mux, &timers[i], (uint64_t)(60 - i / 4), in_order);
	for (int i = 2; i < 100; i += 4)
		mux_timer_start(mux, &timers[i], (uint64_t)(i / 10), in_order);
	for (int i = 1; i < 100; i += 2)
		mux_timer_stop(&timers[i]);
	assert_int_equal(mux_run(mux), 0);
	assert_int_equal(fired, 50);
	for (int i = 0; i < 100; i++)
		assert_false(mux_timer_armed(&timers[i]));
}

static uint64_t moved_at;

static void note_when(struct end *end)
{
	moved_at = end->io.moved_at;
	mux_timer_stop(&later);
	close_end(end);
}

static void *write_after_100ms(void *argument)
{
	struct timespec pause = { .tv_nsec = 100 * 1000 * 1000 };

	nanosleep(&pause, NULL);
	put(*(int *)argument, "x");
	return NULL;
}

/* The clock of a callback is that of its event, not of the turn before it. */
static void the_clock_of_a_callback_is_that_of_its_event(void **state)
{
	struct end end;
	int peer = pair(&end);
	uint64_t start = os_now();
	pthread_t thread;

	(void)state;
	end.then = note_when;
	receive(&end);
	to_close = &end;
	mux_timer_start(mux, &later, 10000, close_it);
	assert_int_equal(pthread_create(&thread, NULL, write_after_100ms, &peer), 0);
	assert_int_equal(mux_run(mux), 0);
	pthread_join(thread, NULL);
	assert_true(moved_at - start >= 99);
	close(peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_A_LOOP(each_operation_calls_back_once_and_from_the_loop),
		ON_A_LOOP(a_send_that_is_over_at_once_does_not_call_back),
		ON_A_LOOP(a_stale_event_does_not_meet_a_reused_descriptor),
		ON_A_LOOP(closing_cancels_what_is_in_flight),
		ON_A_LOOP(a_cancelled_operation_calls_back_once),
		ON_A_LOOP(a_lent_buffer_that_is_kept_is_not_written_again),
		ON_A_LOOP(the_bytes_of_a_buffer_begin_a_cache_line),
		ON_A_LOOP(few_bytes_of_a_big_buffer_are_kept_as_a_copy),
		ON_A_LOOP(what_came_before_a_hang_up_is_received),
		ON_A_LOOP(data_and_end_in_one_event_are_both_received),
		ON_A_LOOP(a_hung_up_handle_that_nobody_asks_does_not_spin),
		ON_A_LOOP(a_busy_connection_does_not_starve_another),
		ON_A_LOOP(signals_do_not_move_a_deadline),
		ON_A_LOOP(a_descriptor_too_high_for_the_backend_is_refused),
		ON_A_LOOP(files_are_read_to_their_end),
		ON_A_LOOP(every_post_of_every_thread_runs_once),
		ON_A_LOOP(the_clock_of_a_callback_is_that_of_its_event),
		ON_A_LOOP(timers_fire_once_in_order_moved_and_stopped_ones_too),
	};

	return run_on_each_loop("mux", tests, sizeof(tests) / sizeof(tests[0]));
}
