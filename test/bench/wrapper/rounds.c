/*
 * Starts three commands in turn and says how long each took, in microseconds, as medians: DIRECT WRAPPED OTHER.
 *
 *   rounds ROUNDS EVERY WRAPPER OTHER ARGUMENT
 *
 * Direct is /bin/true; wrapped WRAPPER /bin/true; other, only in each EVERYth round, OTHER ARGUMENT /bin/true.
 * As root all of them go before the other work of the machine.
 */
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static posix_spawn_file_actions_t quiet;

static void go_first(void) {
  struct sched_param first = {.sched_priority = 1};
  sched_setscheduler(0, SCHED_FIFO, &first);
}

static double timed(char **command) {
  struct timespec begun, ended;
  pid_t pid;
  int status;
  clock_gettime(CLOCK_MONOTONIC, &begun);
  if (posix_spawnp(&pid, command[0], &quiet, NULL, command, environ) != 0) exit(2);
  waitpid(pid, &status, 0);
  clock_gettime(CLOCK_MONOTONIC, &ended);
  if (status != 0) exit(3);
  return (ended.tv_sec - begun.tv_sec) * 1e6 + (ended.tv_nsec - begun.tv_nsec) / 1e3;
}

static int compare(const void *a, const void *b) {
  double difference = *(const double *)a - *(const double *)b;
  return difference < 0 ? -1 : difference > 0;
}

static double median(double *values, int count) {
  qsort(values, count, sizeof *values, compare);
  return values[count / 2];
}

int main(int argc, char **argv) {
  if (argc != 6) return 1;
  int rounds = atoi(argv[1]), every = atoi(argv[2]), others = 0;
  double *direct = calloc(rounds, sizeof *direct), *wrapped = calloc(rounds, sizeof *wrapped);
  double *other = calloc(rounds, sizeof *other);
  char *commands[3][4] = {{"/bin/true"}, {argv[3], "/bin/true"}, {argv[4], argv[5], "/bin/true"}};
  go_first();
  posix_spawn_file_actions_init(&quiet);
  posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0);
  for (int i = 0; i < 3; i++) timed(commands[i]);
  for (int i = 0; i < rounds; i++) {
    direct[i] = timed(commands[0]);
    wrapped[i] = timed(commands[1]);
    if (i % every == 0) other[others++] = timed(commands[2]);
  }
  printf("%.1f %.1f %.1f\n", median(direct, rounds), median(wrapped, rounds), median(other, others));
  return 0;
}
