// What Java has no other way to: a CPU clock finer than the 10 ms of its own, and the shared prime kernel.
#include <jni.h>
#include <time.h>

#include "prime_kernel.h"

JNIEXPORT jlong JNICALL Java_ForkJoinPeer_cpuNanos(JNIEnv *environment, jclass class) {
  (void)environment, (void)class;
  struct timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return (jlong)time.tv_sec * 1000000000 + time.tv_nsec;
}

JNIEXPORT jint JNICALL Java_ForkJoinPeer_countPrimes(JNIEnv *environment, jclass class, jint lower, jint upper) {
  (void)environment, (void)class;
  return (jint)prime_kernel_count((uint32_t)lower, (uint32_t)upper);
}
