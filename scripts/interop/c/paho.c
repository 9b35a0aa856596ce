/* Eclipse Paho for C: client-process.ts has the lines. */
#include <MQTTClient.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS 30000L

static MQTTClient client;
static int is5;

static void expect(int ok, const char *what, int code) {
  if (ok) return;
  fprintf(stderr, "%s: %d\n", what, code);
  exit(1);
}

static int on_message(void *context, char *topic, int topic_length, MQTTClient_message *message) {
  (void)context;
  (void)topic_length;
  printf("message %s %d %s %.*s\n", topic, message->qos, message->retained ? "true" : "false", message->payloadlen,
         (char *)message->payload);
  MQTTClient_freeMessage(&message);
  MQTTClient_free(topic);
  return 1;
}

/* Whether the session was present. */
static const char *connect_client(int clean, const char *will_topic) {
  MQTTClient_connectOptions v3 = MQTTClient_connectOptions_initializer;
  MQTTClient_connectOptions v5 = MQTTClient_connectOptions_initializer5;
  MQTTClient_connectOptions *options = is5 ? &v5 : &v3;
  MQTTClient_willOptions will = MQTTClient_willOptions_initializer;
  if (is5) v5.cleanstart = clean;
  else v3.cleansession = clean;
  if (will_topic != NULL) {
    will.topicName = will_topic;
    will.message = "died";
    will.qos = 1;
    options->will = &will;
  }
  MQTTClient_SSLOptions tls = MQTTClient_SSLOptions_initializer;
  if (getenv("MQTT_TLS")) {
    tls.trustStore = getenv("SSL_CERT_FILE");
    tls.verify = 1;
    options->ssl = &tls;
  }
  if (!is5) {
    v3.MQTTVersion = MQTTVERSION_3_1_1;
    int code = MQTTClient_connect(client, options);
    expect(code == MQTTCLIENT_SUCCESS, "connect", code);
    return options->returned.sessionPresent ? "true" : "false";
  }
  MQTTProperties properties = MQTTProperties_initializer;
  MQTTProperty expiry = {.identifier = MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL, .value.integer4 = clean ? 0 : 300};
  MQTTProperties_add(&properties, &expiry);
  MQTTResponse response = MQTTClient_connect5(client, options, &properties, NULL);
  expect(response.reasonCode == MQTTREASONCODE_SUCCESS, "connect", response.reasonCode);
  MQTTProperties_free(&properties);
  MQTTResponse_free(response);
  /* The library fills that in for MQTT 3.1.1 only. */
  return "unknown";
}

static void subscribe(const char *filter, int qos) {
  if (!is5) {
    int code = MQTTClient_subscribe(client, filter, qos);
    expect(code == MQTTCLIENT_SUCCESS, "subscribe", code);
    return;
  }
  MQTTResponse response = MQTTClient_subscribe5(client, filter, qos, NULL, NULL);
  expect((int)response.reasonCode == qos, "subscribe", response.reasonCode);
  MQTTResponse_free(response);
}

static void publish(const char *topic, int qos, int retained, const char *payload) {
  MQTTClient_deliveryToken token;
  int length = (int)strlen(payload);
  int code;
  if (is5) {
    MQTTResponse response = MQTTClient_publish5(client, topic, length, payload, qos, retained, NULL, &token);
    code = response.reasonCode;
    MQTTResponse_free(response);
  } else code = MQTTClient_publish(client, topic, length, payload, qos, retained, &token);
  expect(code == MQTTCLIENT_SUCCESS, "publish", code);
  code = MQTTClient_waitForCompletion(client, token, PATIENCE_MS);
  expect(code == MQTTCLIENT_SUCCESS, "no acknowledgement", code);
}

static void disconnect(void) {
  int code = is5 ? MQTTClient_disconnect5(client, 1000, MQTTREASONCODE_SUCCESS, NULL)
                 : MQTTClient_disconnect(client, 1000);
  expect(code == MQTTCLIENT_SUCCESS, "disconnect", code);
  MQTTClient_destroy(&client);
}

/* Arguments: host, port, version of MQTT, client identifier, `clean` or `keep`, the topic of a will if there is one. */
int main(int count, char **arguments) {
  expect(count == 6 || count == 7, "arguments", count);
  setvbuf(stdout, NULL, _IOLBF, 0);
  char url[300];
  snprintf(url, sizeof url, "%s://%s:%s", getenv("MQTT_TLS") ? "ssl" : "tcp", arguments[1], arguments[2]);
  is5 = strcmp(arguments[3], "5") == 0;
  MQTTClient_createOptions created = MQTTClient_createOptions_initializer;
  created.MQTTVersion = is5 ? MQTTVERSION_5 : MQTTVERSION_DEFAULT;
  int code = MQTTClient_createWithOptions(&client, url, arguments[4], MQTTCLIENT_PERSISTENCE_NONE, NULL, &created);
  expect(code == MQTTCLIENT_SUCCESS, "create", code);
  MQTTClient_setCallbacks(client, NULL, NULL, on_message, NULL);
  const char *present = connect_client(strcmp(arguments[5], "clean") == 0, count == 7 ? arguments[6] : NULL);
  printf("connected %s\n", present);

  char line[1000], topic[300], retained[6], payload[300];
  int qos;
  while (fgets(line, sizeof line, stdin) != NULL) {
    if (sscanf(line, "subscribe %299s %d", topic, &qos) == 2) {
      subscribe(topic, qos);
      puts("subscribed");
    } else if (sscanf(line, "publish %299s %d %5s", topic, &qos, retained) == 3) {
      payload[0] = '\0';
      sscanf(line, "publish %*s %*d %*s %299s", payload);
      publish(topic, qos, strcmp(retained, "true") == 0, payload);
      puts("published");
    } else {
      disconnect();
      return 0;
    }
  }
  return 0;
}
