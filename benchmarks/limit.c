/* The limit for the rate of a client: librabbitmq, in C, with the same tasks as the clients in Python.
 *
 * Usage: limit publish|consume|consume-multiple TASK
 *        limit version
 *
 * TASK is the JSON of benchmarks.measure.Task; a Sample is printed as JSON. Bodies are sent and received as they are:
 * nothing is encoded, decoded or validated here.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_tcp_socket.h>
#endif

enum { WINDOW = 256, PREFETCH = 250, MULTIPLE = 64, CHANNEL = 1, MAX_BODIES = 4096, TEXT = 1024 };
enum { RING = 1 << 16 }; /* the largest distance between unconfirmed delivery tags */

static const double WARM_UP = 0.2; /* seconds, as in benchmarks/measure.py */
static const long WARM_UP_SHARE = 10;

static void fail(const char *what, const char *why) {
  fprintf(stderr, "limit: %s: %s\n", what, why);
  exit(1);
}

static void must(int status, const char *what) {
  if (status < 0) fail(what, amqp_error_string2(status));
}

static void answered(amqp_rpc_reply_t reply, const char *what) {
  if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION) fail(what, amqp_error_string2(reply.library_error));
  if (reply.reply_type != AMQP_RESPONSE_NORMAL) fail(what, "the broker refused");
}

/* The task: a flat object of json.dumps. */

static const char *value_of(const char *task, const char *name) {
  char key[64];
  snprintf(key, sizeof key, "\"%s\": ", name);
  const char *found = strstr(task, key);
  if (found == NULL) fail("the task lacks", name);
  return found + strlen(key);
}

static char *text_of(const char *task, const char *name) {
  const char *begin = value_of(task, name) + 1;
  size_t size = strcspn(begin, "\"");
  if (memchr(begin, '\\', size) != NULL) fail("the task needs unescaping at", name);
  char *text = malloc(size + 1);
  memcpy(text, begin, size);
  text[size] = '\0';
  return text;
}

/* The measurement. */

typedef struct {
  double seconds, cpu;
} moment;

static moment now(void) {
  struct timespec clock;
  struct rusage usage;
  clock_gettime(CLOCK_MONOTONIC, &clock);
  getrusage(RUSAGE_SELF, &usage);
  return (moment){
      (double)clock.tv_sec + (double)clock.tv_nsec / 1e9,
      (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
          (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6,
  };
}

/* In KiB. The peak of getrusage includes the memory of the parent process; the peak of proc(5) does not. */
static long peak(void) {
  char line[TEXT];
  long kib = 0;
  FILE *status = fopen("/proc/self/status", "r");
  while (status != NULL && fgets(line, sizeof line, status) != NULL)
    if (sscanf(line, "VmHWM: %ld", &kib) == 1) break;
  if (status != NULL) fclose(status);
  return kib;
}

static void print_sample(long count, moment start, moment stop, long total) {
  printf("{\"count\": %ld, \"seconds\": %.9f, \"cpu\": %.9f, \"total\": %ld, \"peak\": %ld}\n", count,
         stop.seconds - start.seconds, stop.cpu - start.cpu, total, peak());
}

/* The connection. */

static amqp_connection_state_t connect_to(char *url) {
  struct amqp_connection_info at;
  amqp_default_connection_info(&at);
  must(amqp_parse_url(url, &at), "URL");
  amqp_connection_state_t connection = amqp_new_connection();
  amqp_socket_t *socket = amqp_tcp_socket_new(connection);
  if (socket == NULL) fail("socket", "no memory");
  must(amqp_socket_open(socket, at.host, at.port), "connect");
  answered(amqp_login(connection, at.vhost[0] == '\0' ? "/" : at.vhost, 0, AMQP_DEFAULT_FRAME_SIZE, 0,
                      AMQP_SASL_METHOD_PLAIN, at.user, at.password),
           "login");
  amqp_channel_open(connection, CHANNEL);
  answered(amqp_get_rpc_reply(connection), "channel");
  return connection;
}

static void close_it(amqp_connection_state_t connection) {
  answered(amqp_connection_close(connection, AMQP_REPLY_SUCCESS), "close");
  must(amqp_destroy_connection(connection), "close");
}

/* Publishing. */

static amqp_bytes_t bodies[MAX_BODIES];
static int number_of_bodies;

static void read_bodies(const char *folder) {
  char path[TEXT];
  char *line = NULL;
  size_t room = 0;
  ssize_t size;
  snprintf(path, sizeof path, "%s/jobs.ndjson", folder);
  FILE *file = fopen(path, "r");
  if (file == NULL) fail(path, "cannot be read");
  while (number_of_bodies < MAX_BODIES && (size = getline(&line, &room, file)) > 0)
    bodies[number_of_bodies++] = amqp_bytes_malloc_dup((amqp_bytes_t){(size_t)size - 1, line});
  free(line);
  fclose(file);
  if (number_of_bodies == 0) fail(path, "is empty");
}

static bool open_tags[RING];
static uint64_t next_tag = 1, oldest = 1;
static long in_flight;

static void settle(uint64_t tag) {
  in_flight -= open_tags[tag % RING];
  open_tags[tag % RING] = false;
}

static void take_confirm(amqp_connection_state_t connection) {
  amqp_frame_t frame;
  must(amqp_simple_wait_frame_noblock(connection, &frame, NULL), "confirm");
  if (frame.frame_type != AMQP_FRAME_METHOD || frame.payload.method.id != AMQP_BASIC_ACK_METHOD)
    fail("confirm", "the broker answered something else");
  const amqp_basic_ack_t *ack = frame.payload.method.decoded;
  if (ack->multiple)
    for (uint64_t tag = oldest; tag <= ack->delivery_tag; tag++) settle(tag);
  else
    settle(ack->delivery_tag);
  while (oldest < next_tag && !open_tags[oldest % RING]) oldest++;
  amqp_maybe_release_buffers(connection);
}

static uint64_t chance = 88172645463325252u;

static uint64_t random_bits(void) { /* xorshift64, Marsaglia 2003 */
  chance ^= chance << 13;
  chance ^= chance >> 7;
  return chance ^= chance << 17;
}

static void publish(amqp_connection_state_t connection, amqp_bytes_t exchange, amqp_bytes_t key, long count) {
  char id[33];
  amqp_basic_properties_t properties = {
      ._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG,
      .content_type = amqp_cstring_bytes("application/json"),
      .delivery_mode = AMQP_DELIVERY_PERSISTENT,
      .message_id = {32, id},
  };
  for (long sent = 0; sent < count; sent++) {
    while (in_flight == WINDOW || next_tag - oldest == RING) {
      take_confirm(connection);
      while (in_flight > 0 && (amqp_frames_enqueued(connection) || amqp_data_in_buffer(connection)))
        take_confirm(connection);
    }
    snprintf(id, sizeof id, "%016llx%016llx", (unsigned long long)random_bits(), (unsigned long long)random_bits());
    must(amqp_basic_publish(connection, CHANNEL, exchange, key, false, false, &properties,
                            bodies[next_tag % (uint64_t)number_of_bodies]),
         "publish");
    open_tags[next_tag++ % RING] = true;
    in_flight++;
  }
  while (in_flight > 0) take_confirm(connection);
}

static void measure_publish(const char *task, amqp_connection_state_t connection) {
  amqp_bytes_t exchange = amqp_cstring_bytes(text_of(task, "exchange"));
  amqp_bytes_t key = amqp_cstring_bytes(text_of(task, "routing_key"));
  double seconds = strtod(value_of(task, "seconds"), NULL), took = 0;
  double warm_up = seconds < WARM_UP ? seconds : WARM_UP;
  long count = WINDOW, total = 0;
  read_bodies(text_of(task, "folder"));
  chance ^= (uint64_t)time(NULL);
  amqp_confirm_select(connection, CHANNEL);
  answered(amqp_get_rpc_reply(connection), "confirms");
  while (took < warm_up) {
    if (took > 0) count *= 2;
    double began = now().seconds;
    publish(connection, exchange, key, count);
    took = now().seconds - began;
    total += count;
  }
  count = (long)((double)count / took * seconds) / WINDOW * WINDOW;
  if (count < WINDOW) count = WINDOW;
  moment start = now();
  publish(connection, exchange, key, count);
  moment stop = now();
  print_sample(count, start, stop, total + count);
}

/* Consuming. */

static void measure_consume(const char *task, amqp_connection_state_t connection, long acked_at_once) {
  long messages = strtol(value_of(task, "messages"), NULL, 10), warm = messages / WARM_UP_SHARE;
  amqp_bytes_t queue = amqp_cstring_bytes(text_of(task, "queue"));
  moment start = {0, 0};
  amqp_basic_qos(connection, CHANNEL, 0, PREFETCH, false);
  answered(amqp_get_rpc_reply(connection), "prefetch");
  amqp_basic_consume(connection, CHANNEL, queue, amqp_empty_bytes, false, false, false, amqp_empty_table);
  answered(amqp_get_rpc_reply(connection), "consume");
  if (warm == 0) start = now();
  for (long got = 1; got <= messages; got++) {
    amqp_envelope_t envelope;
    amqp_maybe_release_buffers(connection);
    answered(amqp_consume_message(connection, &envelope, NULL, 0), "delivery");
    if (got % acked_at_once == 0 || got == messages)
      must(amqp_basic_ack(connection, CHANNEL, envelope.delivery_tag, acked_at_once > 1), "ack");
    amqp_destroy_envelope(&envelope);
    if (got == warm) start = now();
  }
  print_sample(messages - warm, start, now(), messages);
  sleep(1); /* a quorum queue requeues what it has not yet settled when the channel closes */
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "version") == 0) return puts(amqp_version()) < 0;
  if (argc != 3) fail("usage", "limit publish|consume|consume-multiple TASK");
  amqp_connection_state_t connection = connect_to(text_of(argv[2], "url"));
  if (strcmp(argv[1], "publish") == 0)
    measure_publish(argv[2], connection);
  else if (strcmp(argv[1], "consume") == 0)
    measure_consume(argv[2], connection, 1);
  else if (strcmp(argv[1], "consume-multiple") == 0)
    measure_consume(argv[2], connection, MULTIPLE);
  else
    fail("not a way to measure", argv[1]);
  close_it(connection);
  return 0;
}
