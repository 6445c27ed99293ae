/*
 * The hub against streams that take what the test lets them take: each message is stored once,
 * records stay whole, and the slow are dealt with as the policy says.
 */
#include "hub.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A stream whose sends end when the test says so. */
struct reader {
	struct stream stream;
	struct hub_subscriber subscriber;
	struct mux_buf *buf; /* of the outstanding send */
	const unsigned char *data;
	size_t length;
	char got[64 * 1024];
	size_t got_length;
	int cut_error;
	int flushed;
};

static void reader_send(
	struct stream *stream, struct mux_buf *buf, const unsigned char *data, size_t length)
{
	struct reader *reader = container_of(stream, struct reader, stream);

	assert_null(reader->buf);
	reader->buf = mux_buf_ref(buf);
	reader->data = data;
	reader->length = length;
}

static size_t reader_sending(const struct stream *stream)
{
	(void)stream;
	return 0;
}

static const struct stream_kind reader_kind = { .send = reader_send, .sending = reader_sending };

/* Lets `reader` take what it is being sent; false if that is nothing. */
static bool take(struct reader *reader)
{
	struct mux_buf *buf = reader->buf;

	if (!buf)
		return false;
	assert_true(reader->got_length + reader->length <= sizeof(reader->got));
	memcpy(reader->got + reader->got_length, reader->data, reader->length);
	reader->got_length += reader->length;
	reader->buf = NULL;
	stream_report_sent(&reader->stream, reader->length, (ssize_t)reader->length);
	mux_buf_unref(buf);
	return true;
}

static void take_all(struct reader *reader)
{
	while (take(reader))
		;
}

static void assert_got(const struct reader *reader, const char *text)
{
	assert_int_equal(reader->got_length, strlen(text));
	assert_memory_equal(reader->got, text, strlen(text));
}

/* ---- the hub under test ---- */

static struct mux *mux;
static struct hub hub;
static struct reader readers[3];
static int rooms;

static void room(struct hub *of)
{
	(void)of;
	rooms++;
}

static void flushed(struct hub_subscriber *subscriber)
{
	container_of(subscriber, struct reader, subscriber)->flushed++;
}

static void cut(struct hub_subscriber *subscriber, int error)
{
	struct reader *reader = container_of(subscriber, struct reader, subscriber);

	reader->cut_error = error;
	mux_buf_unref(reader->buf); /* as a close would cancel it */
	reader->buf = NULL;
}

static void start(enum hub_slow slow, uint64_t queue, uint64_t replay)
{
	struct hub_policy policy = { slow, queue, 10000, replay };
	int error;

	mux = mux_new("poll", false, &error);
	assert_non_null(mux);
	memset(&hub, 0, sizeof(hub));
	memset(readers, 0, sizeof(readers));
	rooms = 0;
	hub.room = room;
	hub.flushed = flushed;
	hub.cut = cut;
	assert_int_equal(hub_open(&hub, mux, &policy), 0);
}

static void join(struct reader *reader)
{
	reader->stream.kind = &reader_kind;
	reader->stream.mux = mux;
	hub_subscribe(&hub, &reader->subscriber, &reader->stream);
}

static void stop(void)
{
	for (size_t i = 0; i < 3; i++)
		if (readers[i].subscriber.hub && !readers[i].cut_error) {
			mux_buf_unref(readers[i].buf);
			hub_unsubscribe(&readers[i].subscriber);
		}
	hub_close(&hub);
	mux_free(mux);
}

static void publish_from(const char *text, struct reader *source)
{
	struct mux_buf *buf = mux_buf_new(strlen(text));

	memcpy(buf->data, text, strlen(text));
	assert_int_equal(hub_publish(&hub, buf, buf->data, strlen(text),
				 source ? &source->subscriber : NULL),
		0);
	mux_buf_unref(buf);
}

static void publish(const char *text)
{
	publish_from(text, NULL);
}

static void everybody_gets_everything_in_order(void **state)
{
	(void)state;
	start(HUB_WAIT, 1000, 0);
	join(&readers[0]);
	join(&readers[1]);
	publish("one\n");
	take(&readers[0]);
	publish("two\n");
	publish("three\n");
	take_all(&readers[0]);
	take_all(&readers[1]);
	assert_got(&readers[0], "one\ntwo\nthree\n");
	assert_got(&readers[1], "one\ntwo\nthree\n");
	stop();
}

static void a_big_message_is_stored_once_for_all(void **state)
{
	struct mux_buf *buf = mux_buf_new(32 * 1024);

	(void)state;
	start(HUB_WAIT, 1000000, 0);
	for (int i = 0; i < 3; i++)
		join(&readers[i]);
	memset(buf->data, 'x', buf->size);
	assert_int_equal(hub_publish(&hub, buf, buf->data, buf->size, NULL), 0);
	for (int i = 0; i < 3; i++)
		assert_ptr_equal(readers[i].data, buf->data);
	publish("next\n");
	take_all(&readers[0]);
	take_all(&readers[1]);
	assert_true(buf->refs > 1);
	take_all(&readers[2]);
	assert_int_equal(buf->refs, 1); /* freed with the last cursor that left it */
	mux_buf_unref(buf);
	stop();
}

static void under_wait_the_slowest_holds_the_writer_up(void **state)
{
	(void)state;
	start(HUB_WAIT, 10, 0);
	join(&readers[0]);
	join(&readers[1]);
	publish("0123456789\n");
	take_all(&readers[0]);
	assert_false(hub_has_room(&hub));
	assert_int_equal(rooms, 0);
	take_all(&readers[1]);
	assert_int_equal(rooms, 1);
	assert_true(hub_has_room(&hub));
	stop();
}

static void under_close_the_slow_one_is_cut_off_at_the_next_message(void **state)
{
	(void)state;
	start(HUB_CLOSE, 10, 0);
	join(&readers[0]);
	join(&readers[1]);
	publish("0123456789\n");
	take_all(&readers[0]);
	assert_true(hub_has_room(&hub)); /* the fastest sets the pace */
	assert_int_equal(readers[1].cut_error, 0);
	publish("next\n");
	assert_int_equal(readers[1].cut_error, HUB_LAGS);
	take_all(&readers[0]);
	assert_got(&readers[0], "0123456789\nnext\n");
	stop();
}

static void under_close_the_input_waits_for_the_fastest(void **state)
{
	(void)state;
	start(HUB_CLOSE, 10, 0);
	join(&readers[0]);
	join(&readers[1]);
	publish("0123456789\n");
	assert_false(hub_has_room(&hub));
	take_all(&readers[0]);
	assert_int_equal(rooms, 1);
	stop();
}

static void under_drop_whole_records_are_skipped_and_counted(void **state)
{
	(void)state;
	start(HUB_DROP, 10, 0);
	join(&readers[0]);
	join(&readers[1]);
	publish("a1\na2\n"); /* given to the stream, which does not take it */
	publish("b1\nb2\nb3\n");
	for (int i = 0; i < 5; i++) {
		take_all(&readers[0]);
		publish("c\n");
	}
	take_all(&readers[0]);
	take_all(&readers[1]);
	publish("z\n");
	take_all(&readers[1]);
	assert_memory_equal(readers[1].got, "a1\na2\n", 6);
	assert_true(readers[1].subscriber.dropped >= 3);
	/* nothing of a record but all of it */
	readers[1].got[readers[1].got_length] = '\0';
	assert_null(strstr(readers[1].got, "\n2"));
	assert_int_equal(readers[1].got[readers[1].got_length - 1], '\n');
	stop();
}

static void a_record_begun_before_a_skip_is_completed(void **state)
{
	(void)state;
	start(HUB_DROP, 20, 0);
	join(&readers[0]);
	publish("begin");
	take(&readers[0]); /* half a record has gone */
	publish("-middle");
	publish("-end\nskipped 1\n");
	publish("skipped 2\nskipped 3\n");
	publish("skipped 4\n");
	publish("newest\n");
	take_all(&readers[0]);
	readers[0].got[readers[0].got_length] = '\0';
	assert_memory_equal(readers[0].got, "begin-middle-end\n", 17);
	assert_non_null(strstr(readers[0].got, "newest\n"));
	assert_true(readers[0].subscriber.dropped > 0);
	stop();
}

static void a_source_without_lines_is_skipped_too(void **state)
{
	char block[1001];

	(void)state;
	memset(block, 'x', 1000);
	block[1000] = '\0';
	start(HUB_DROP, 2000, 0);
	join(&readers[0]);
	for (int i = 0; i < 60; i++)
		publish(block); /* never a line end, never taken */
	assert_true(hub.head - readers[0].subscriber.cursor.position <= 4000);
	take_all(&readers[0]);
	assert_true(readers[0].got_length < 60 * 1000);
	stop();
}

static void a_late_subscriber_begins_with_a_record(void **state)
{
	(void)state;
	start(HUB_WAIT, 1000, 0);
	join(&readers[0]);
	publish("whole\nhal");
	join(&readers[1]);
	publish("f\n");
	take_all(&readers[1]);
	assert_got(&readers[1], "half\n");
	stop();
}

static void a_replay_begins_with_a_record(void **state)
{
	(void)state;
	start(HUB_WAIT, 1000, 10);
	publish("aaaa\nbbbb\ncccc\n"); /* the last 10 bytes are two whole records */
	join(&readers[0]);
	take_all(&readers[0]);
	assert_got(&readers[0], "bbbb\ncccc\n");
	publish("d\n"); /* now they begin within one */
	join(&readers[1]);
	take_all(&readers[1]);
	assert_got(&readers[1], "cccc\nd\n");
	stop();
}

static void all_is_replayed_while_it_is_less_than_asked_for(void **state)
{
	(void)state;
	start(HUB_WAIT, 1000, 100);
	publish("no line end yet");
	join(&readers[0]);
	take_all(&readers[0]);
	assert_got(&readers[0], "no line end yet");
	stop();
}

static void nobody_hears_himself(void **state)
{
	(void)state;
	start(HUB_WAIT, 1000, 0);
	join(&readers[0]);
	join(&readers[1]);
	publish_from("from 0\n", &readers[0]);
	publish_from("from 1\n", &readers[1]);
	publish_from("0 again\n", &readers[0]);
	take_all(&readers[0]);
	take_all(&readers[1]);
	assert_got(&readers[0], "from 1\n");
	assert_got(&readers[1], "from 0\n0 again\n");
	stop();
}

/* What it publishes itself is no lag of its own. */
static void a_publisher_is_not_slow_for_its_own_bytes(void **state)
{
	(void)state;
	start(HUB_CLOSE, 20, 0);
	join(&readers[0]);
	join(&readers[1]);
	publish_from("owed to 0\n", &readers[1]); /* given to its stream, and not taken */
	for (int i = 0; i < 10; i++) {
		publish_from("from 0 itself\n", &readers[0]);
		take_all(&readers[1]);
	}
	assert_int_equal(readers[0].cut_error, 0);
	publish_from("owed too\n", &readers[1]);
	take_all(&readers[0]);
	assert_got(&readers[0], "owed to 0\nowed too\n");
	assert_int_equal(readers[0].subscriber.own, 0);
	stop();
}

static void own_records_are_not_counted_as_dropped(void **state)
{
	(void)state;
	start(HUB_DROP, 20, 0);
	join(&readers[0]);
	join(&readers[1]);
	publish_from("owed 1\n", &readers[1]); /* given to its stream, and not taken */
	for (int i = 0; i < 20; i++) {
		publish_from("own of 0\n", &readers[0]);
		publish_from("owed more\n", &readers[1]);
		take_all(&readers[1]);
	}
	take_all(&readers[0]);
	assert_true(readers[0].subscriber.dropped > 0);
	assert_true(readers[0].subscriber.dropped <= 20);
	stop();
}

/* Those between the begun record's pieces are sent to nobody, and skipped by nobody. */
static void own_bytes_in_a_finished_record_do_not_hide_a_dropped_one(void **state)
{
	(void)state;
	start(HUB_DROP, 10, 0);
	join(&readers[0]);
	publish("be"); /* given to its stream, and not taken */
	publish_from("own bytes", &readers[0]);
	publish("gun\n");
	publish("123");
	publish_from("\n", &readers[0]); /* ends that record for all others */
	publish("skips");
	publish("\n");
	take_all(&readers[0]);
	assert_got(&readers[0], "begun\nskips\n");
	assert_int_equal(readers[0].subscriber.dropped, 1);
	stop();
}

/* Whoever was told that there is no room is told when there is, whatever made it. */
static void room_is_told_when_a_subscriber_comes_or_is_skipped(void **state)
{
	(void)state;
	start(HUB_CLOSE, 10, 0);
	join(&readers[0]);
	publish("0123456789\n");
	assert_false(hub_has_room(&hub));
	join(&readers[1]); /* lags by nothing: the input need not wait for the other */
	assert_int_equal(rooms, 1);
	assert_true(hub_has_room(&hub));
	stop();
}

static void flushed_is_told_once_for_each_when_all_is_sent(void **state)
{
	(void)state;
	start(HUB_WAIT, 1000, 0);
	join(&readers[0]);
	join(&readers[1]);
	publish("last\n");
	take_all(&readers[0]);
	hub_finish(&hub);
	assert_int_equal(readers[0].flushed, 1);
	assert_int_equal(readers[1].flushed, 0);
	take_all(&readers[1]);
	assert_int_equal(readers[1].flushed, 1);
	stop();
}

/* Random messages, takes and joins: what each got is whole records, in order, none twice. */
static void random_runs_keep_records_whole_and_in_order(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 300; seed++) {
		unsigned next = 0;

		srand(seed);
		start(HUB_DROP, (uint64_t)(8 + rand() % 60), (uint64_t)(rand() % 40));
		join(&readers[0]);
		for (int step = 0; step < 400; step++) {
			char text[64];
			int length = snprintf(text, sizeof(text), "%06u\n", next);

			if (step == 50)
				join(&readers[1]);
			if (rand() % 3 == 0)
				take(&readers[rand() % 2]);
			if (rand() % 4 == 0) { /* in two pieces */
				char rest[64];
				int at = 1 + rand() % (length - 1);

				strcpy(rest, text + at);
				text[at] = '\0';
				publish(text);
				publish(rest);
			} else {
				publish(text);
			}
			next++;
		}
		for (int r = 0; r < 2; r++) {
			long last = -1;

			take_all(&readers[r]);
			assert_int_equal(readers[r].got_length % 7, 0);
			for (size_t i = 0; i < readers[r].got_length; i += 7) {
				long number = strtol(readers[r].got + i, NULL, 10);

				assert_int_equal(readers[r].got[i + 6], '\n');
				if (number <= last)
					fail_msg("seed %u: %ld after %ld", seed, number, last);
				last = number;
			}
		}
		stop();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everybody_gets_everything_in_order),
		cmocka_unit_test(a_big_message_is_stored_once_for_all),
		cmocka_unit_test(under_wait_the_slowest_holds_the_writer_up),
		cmocka_unit_test(under_close_the_slow_one_is_cut_off_at_the_next_message),
		cmocka_unit_test(under_close_the_input_waits_for_the_fastest),
		cmocka_unit_test(under_drop_whole_records_are_skipped_and_counted),
		cmocka_unit_test(a_record_begun_before_a_skip_is_completed),
		cmocka_unit_test(a_source_without_lines_is_skipped_too),
		cmocka_unit_test(a_late_subscriber_begins_with_a_record),
		cmocka_unit_test(a_replay_begins_with_a_record),
		cmocka_unit_test(all_is_replayed_while_it_is_less_than_asked_for),
		cmocka_unit_test(nobody_hears_himself),
		cmocka_unit_test(a_publisher_is_not_slow_for_its_own_bytes),
		cmocka_unit_test(own_records_are_not_counted_as_dropped),
		cmocka_unit_test(own_bytes_in_a_finished_record_do_not_hide_a_dropped_one),
		cmocka_unit_test(room_is_told_when_a_subscriber_comes_or_is_skipped),
		cmocka_unit_test(flushed_is_told_once_for_each_when_all_is_sent),
		cmocka_unit_test(random_runs_keep_records_whole_and_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
