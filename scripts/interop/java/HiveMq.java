import com.hivemq.client.mqtt.MqttClient;
import com.hivemq.client.mqtt.MqttGlobalPublishFilter;
import com.hivemq.client.mqtt.datatypes.MqttQos;
import com.hivemq.client.mqtt.mqtt3.Mqtt3BlockingClient;
import com.hivemq.client.mqtt.mqtt3.message.publish.Mqtt3Publish;
import com.hivemq.client.mqtt.mqtt5.Mqtt5BlockingClient;
import com.hivemq.client.mqtt.mqtt5.message.publish.Mqtt5Publish;
import java.nio.charset.StandardCharsets;

/** HiveMQ's client for Java. */
final class HiveMq {
  private static final class V3 implements Lines.Client {
    private final Mqtt3BlockingClient client;
    private final boolean sessionPresent;

    V3(Lines.Settings settings) {
      var builder =
          MqttClient.builder()
              .useMqttVersion3()
              .identifier(settings.clientId())
              .serverHost(settings.host())
              .serverPort(settings.port());
      client = (settings.isTls() ? builder.sslWithDefaultConfig() : builder).buildBlocking();
      client.toAsync().publishes(MqttGlobalPublishFilter.ALL, V3::received);
      var connect = client.connectWith().cleanSession(settings.isClean());
      if (settings.will() != null)
        connect =
            connect
                .willPublish()
                .topic(settings.will())
                .qos(MqttQos.AT_LEAST_ONCE)
                .payload(Lines.WILL)
                .applyWillPublish();
      sessionPresent = connect.send().isSessionPresent();
    }

    private static void received(Mqtt3Publish message) {
      String topic = message.getTopic().toString();
      Lines.received(topic, message.getQos().getCode(), message.isRetain(), message.getPayloadAsBytes());
    }

    @Override
    public boolean sessionPresent() {
      return sessionPresent;
    }

    @Override
    public void subscribe(String filter, int qos) {
      client.subscribeWith().topicFilter(filter).qos(MqttQos.fromCode(qos)).send();
    }

    @Override
    public void publish(String topic, String payload, int qos, boolean isRetained) {
      byte[] bytes = payload.getBytes(StandardCharsets.UTF_8);
      client.publishWith().topic(topic).qos(MqttQos.fromCode(qos)).retain(isRetained).payload(bytes).send();
    }

    @Override
    public void disconnect() {
      client.disconnect();
    }
  }

  private static final class V5 implements Lines.Client {
    private final Mqtt5BlockingClient client;
    private final boolean sessionPresent;

    V5(Lines.Settings settings) {
      var builder =
          MqttClient.builder()
              .useMqttVersion5()
              .identifier(settings.clientId())
              .serverHost(settings.host())
              .serverPort(settings.port());
      client = (settings.isTls() ? builder.sslWithDefaultConfig() : builder).buildBlocking();
      client.toAsync().publishes(MqttGlobalPublishFilter.ALL, V5::received);
      long seconds = settings.isClean() ? 0 : Lines.SESSION_SECONDS;
      var connect = client.connectWith().cleanStart(settings.isClean()).sessionExpiryInterval(seconds);
      if (settings.will() != null)
        connect =
            connect
                .willPublish()
                .topic(settings.will())
                .qos(MqttQos.AT_LEAST_ONCE)
                .payload(Lines.WILL)
                .applyWillPublish();
      sessionPresent = connect.send().isSessionPresent();
    }

    private static void received(Mqtt5Publish message) {
      String topic = message.getTopic().toString();
      Lines.received(topic, message.getQos().getCode(), message.isRetain(), message.getPayloadAsBytes());
    }

    @Override
    public boolean sessionPresent() {
      return sessionPresent;
    }

    @Override
    public void subscribe(String filter, int qos) {
      client.subscribeWith().topicFilter(filter).qos(MqttQos.fromCode(qos)).send();
    }

    @Override
    public void publish(String topic, String payload, int qos, boolean isRetained) {
      byte[] bytes = payload.getBytes(StandardCharsets.UTF_8);
      client.publishWith().topic(topic).qos(MqttQos.fromCode(qos)).retain(isRetained).payload(bytes).send();
    }

    @Override
    public void disconnect() {
      client.disconnect();
    }
  }

  public static void main(String[] args) throws Exception {
    Lines.run(args, settings -> settings.version() == 5 ? new V5(settings) : new V3(settings));
  }

  private HiveMq() {}
}
