#include "wp_process_settings_check.h"

#include "../../base/wp_error.h"

#include <string.h>

static wp_status refuse(wp_error *error, const char *name, const char *rule) {
  return wp_fail(error, WP_INVALID_ARGUMENT, 0, name, rule);
}

static wp_status check_output(const wp_process_output *output, const char *name, wp_error *error) {
  if (output->mode > WP_OUTPUT_DISCARD) return refuse(error, name, "one of default, inherit, capture and discard");
  if (output->mode == WP_OUTPUT_CAPTURE && (output->limit == 0 || output->limit > WP_OUTPUT_MAX_LIMIT)) {
    return refuse(error, name, "keeps between 1 and 2^26 bytes");
  }
  return WP_OK;
}

static wp_status check_limits(const wp_process_limits *limits, wp_error *error) {
  if (limits->open_files != 0 && limits->open_files < WP_MIN_OPEN_FILES) {
    return refuse(error, "limits.open_files", "at least 16");
  }
  if (limits->niceness < -40 || limits->niceness > 40) {
    return refuse(error, "limits.niceness", "between -40 and 40, the distance between the least and the most");
  }
  if (limits->memory_cgroup > WP_CGROUP_REQUIRED) {
    return refuse(error, "limits.memory_cgroup", "one of automatic, never and required");
  }
  if (limits->memory_cgroup == WP_CGROUP_REQUIRED && limits->memory == 0) {
    return refuse(error, "limits.memory_cgroup", "a required cgroup needs limits.memory");
  }
  return WP_OK;
}

wp_status wp_process_settings_check(const wp_process_pool_config *config, wp_error *error) {
  wp_status status = check_output(&config->output[WP_STREAM_OUTPUT], "output[WP_STREAM_OUTPUT]", error);
  if (status == WP_OK) status = check_output(&config->output[WP_STREAM_ERROR], "output[WP_STREAM_ERROR]", error);
  if (status == WP_OK) status = check_limits(&config->limits, error);
  if (status != WP_OK || config->initializer == NULL) return status;
  if (config->initializer->bytes == NULL && config->initializer->length > 0) {
    return refuse(error, "initializer", "its argument is NULL, and has a length");
  }
  if (config->initializer->name == NULL && config->initializer->name_length > 0) {
    return refuse(error, "initializer", "its name is NULL, and has a length");
  }
  size_t max_payload = config->max_payload == 0 ? WP_PROCESS_DEFAULT_MAX_PAYLOAD : config->max_payload;
  if (config->initializer->length > max_payload) {
    return wp_fail(error, WP_TOO_LARGE, 0, "initializer", "its argument is larger than any payload of this pool may be");
  }
  if (config->initializer->name_length >= WP_PROCESS_NAME_BYTES) {
    return wp_fail(error, WP_TOO_LARGE, 0, "initializer", "its name is larger than the table of names");
  }
  return WP_OK;
}

void wp_process_settings_resolve(const wp_process_pool_config *config, wp_process_output output[WP_STREAM_COUNT]) {
  memcpy(output, config->output, WP_STREAM_COUNT * sizeof *output);
  if (output[WP_STREAM_OUTPUT].mode == WP_OUTPUT_DEFAULT) output[WP_STREAM_OUTPUT].mode = WP_OUTPUT_INHERIT;
  if (output[WP_STREAM_ERROR].mode != WP_OUTPUT_DEFAULT) return;
  output[WP_STREAM_ERROR].mode = WP_OUTPUT_CAPTURE;
  output[WP_STREAM_ERROR].limit = WP_OUTPUT_DEFAULT_LIMIT;
  output[WP_STREAM_ERROR].echo = true;
}

void wp_process_settings_share(wp_pool_head *head, void *argument, const wp_process_pool_config *config) {
  head->limits = config->limits;
  wp_process_settings_resolve(config, head->output);
  const wp_process_initializer *initializer = config->initializer;
  if (initializer == NULL) return;
  head->initializes = true;
  head->initializer_function = initializer->function;
  head->initializer_length = initializer->length;
  if (initializer->length > 0) memcpy(argument, initializer->bytes, initializer->length);
  uint32_t index;
  if (initializer->name != NULL) wp_pool_intern(head, initializer->name, initializer->name_length, &index);
}
