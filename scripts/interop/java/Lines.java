import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;

/** What a client in Java is told and tells, whichever its library: client-process.ts has the lines. */
final class Lines {
  interface Client {
    boolean sessionPresent();

    void subscribe(String filter, int qos) throws Exception;

    /** Returns once it is acknowledged. */
    void publish(String topic, String payload, int qos, boolean isRetained) throws Exception;

    void disconnect() throws Exception;
  }

  interface Connector {
    Client connect(Settings settings) throws Exception;
  }

  /** The arguments of the program. Without a will, its topic is null. */
  record Settings(String host, int port, int version, String clientId, boolean isClean, String will) {
    /** The trust store, a property of Java's, has the authority. */
    boolean isTls() {
      return System.getenv("MQTT_TLS") != null;
    }
  }

  static final byte[] WILL = "died".getBytes(StandardCharsets.UTF_8);
  static final int SESSION_SECONDS = 300;

  static void received(String topic, int qos, boolean isRetained, byte[] payload) {
    String text = new String(payload, StandardCharsets.UTF_8);
    System.out.println("message " + topic + " " + qos + " " + isRetained + " " + text);
  }

  static void run(String[] args, Connector connector) throws Exception {
    String will = args.length > 5 ? args[5] : null;
    Client client =
        connector.connect(
            new Settings(
                args[0], Integer.parseInt(args[1]), Integer.parseInt(args[2]), args[3], args[4].equals("clean"), will));
    System.out.println("connected " + client.sessionPresent());
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      String[] words = line.split(" ", -1);
      switch (words[0]) {
        case "subscribe" -> {
          client.subscribe(words[1], Integer.parseInt(words[2]));
          System.out.println("subscribed");
        }
        case "publish" -> {
          client.publish(words[1], words[4], Integer.parseInt(words[2]), words[3].equals("true"));
          System.out.println("published");
        }
        default -> {
          client.disconnect();
          // A library's threads may keep the process.
          System.exit(0);
        }
      }
    }
  }

  private Lines() {}
}
