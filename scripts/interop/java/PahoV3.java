import java.nio.charset.StandardCharsets;
import org.eclipse.paho.client.mqttv3.IMqttDeliveryToken;
import org.eclipse.paho.client.mqttv3.MqttAsyncClient;
import org.eclipse.paho.client.mqttv3.MqttCallback;
import org.eclipse.paho.client.mqttv3.MqttConnectOptions;
import org.eclipse.paho.client.mqttv3.MqttMessage;
import org.eclipse.paho.client.mqttv3.persist.MemoryPersistence;

/** Eclipse Paho for Java, MQTT 3.1.1. */
final class PahoV3 implements Lines.Client, MqttCallback {
  private final MqttAsyncClient client;
  private final boolean sessionPresent;

  PahoV3(Lines.Settings settings) throws Exception {
    String url = (settings.isTls() ? "ssl://" : "tcp://") + settings.host() + ":" + settings.port();
    client = new MqttAsyncClient(url, settings.clientId(), new MemoryPersistence());
    client.setCallback(this);
    MqttConnectOptions options = new MqttConnectOptions();
    options.setMqttVersion(MqttConnectOptions.MQTT_VERSION_3_1_1);
    options.setCleanSession(settings.isClean());
    if (settings.will() != null) options.setWill(settings.will(), Lines.WILL, 1, false);
    var token = client.connect(options);
    token.waitForCompletion();
    sessionPresent = token.getSessionPresent();
  }

  @Override
  public boolean sessionPresent() {
    return sessionPresent;
  }

  @Override
  public void subscribe(String filter, int qos) throws Exception {
    client.subscribe(filter, qos).waitForCompletion();
  }

  @Override
  public void publish(String topic, String payload, int qos, boolean isRetained) throws Exception {
    client.publish(topic, payload.getBytes(StandardCharsets.UTF_8), qos, isRetained).waitForCompletion();
  }

  @Override
  public void disconnect() throws Exception {
    client.disconnect().waitForCompletion();
  }

  @Override
  public void messageArrived(String topic, MqttMessage message) {
    Lines.received(topic, message.getQos(), message.isRetained(), message.getPayload());
  }

  @Override
  public void connectionLost(Throwable cause) {
    cause.printStackTrace();
  }

  @Override
  public void deliveryComplete(IMqttDeliveryToken token) {}

  public static void main(String[] args) throws Exception {
    Lines.run(args, PahoV3::new);
  }
}
