import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import java.util.List;

/**
 * Serves MongoDB's protocol from memory, on a free port of loopback, until it is terminated. Prints one line,
 * `ready PORT`, once it accepts connections.
 */
public final class MongoJavaServer {
    /** What current drivers take: they refuse servers below wire version 9, and the library says 8. */
    private record Version(List<Integer> getVersionArray, int getWireVersion) implements MongoVersion {}

    public static void main(String[] args) {
        Version version = new Version(List.of(5, 0, 0), 13);
        MongoServer server = new MongoServer(new MemoryBackend().version(version));
        System.out.println("ready " + server.bind().getPort());
    }
}
