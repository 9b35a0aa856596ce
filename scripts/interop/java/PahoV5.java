import java.nio.charset.StandardCharsets;
import org.eclipse.paho.mqttv5.client.IMqttToken;
import org.eclipse.paho.mqttv5.client.MqttAsyncClient;
import org.eclipse.paho.mqttv5.client.MqttCallback;
import org.eclipse.paho.mqttv5.client.MqttConnectionOptions;
import org.eclipse.paho.mqttv5.client.MqttDisconnectResponse;
import org.eclipse.paho.mqttv5.client.persist.MemoryPersistence;
import org.eclipse.paho.mqttv5.common.MqttException;
import org.eclipse.paho.mqttv5.common.MqttMessage;
import org.eclipse.paho.mqttv5.common.packet.MqttProperties;

/** Eclipse Paho for Java, MQTT 5. */
final class PahoV5 implements Lines.Client, MqttCallback {
  private final MqttAsyncClient client;
  private final boolean sessionPresent;

  PahoV5(Lines.Settings settings) throws Exception {
    String url = (settings.isTls() ? "ssl://" : "tcp://") + settings.host() + ":" + settings.port();
    client = new MqttAsyncClient(url, settings.clientId(), new MemoryPersistence());
    client.setCallback(this);
    MqttConnectionOptions options = new MqttConnectionOptions();
    options.setCleanStart(settings.isClean());
    options.setSessionExpiryInterval(settings.isClean() ? 0L : Lines.SESSION_SECONDS);
    if (settings.will() != null) options.setWill(settings.will(), new MqttMessage(Lines.WILL, 1, false, null));
    IMqttToken token = client.connect(options);
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
  public void disconnected(MqttDisconnectResponse response) {}

  @Override
  public void mqttErrorOccurred(MqttException problem) {
    problem.printStackTrace();
  }

  @Override
  public void deliveryComplete(IMqttToken token) {}

  @Override
  public void connectComplete(boolean isReconnect, String url) {}

  @Override
  public void authPacketArrived(int reasonCode, MqttProperties properties) {}

  public static void main(String[] args) throws Exception {
    Lines.run(args, PahoV5::new);
  }
}
