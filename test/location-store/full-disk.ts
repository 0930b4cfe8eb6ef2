/** A server whose files may not grow beyond a limit, which the shell that starts it has set: registers until the store fails,
 *  goes on for a while, and says in JSON what came of it. `full-disk DIRECTORY` */

import { STORE_STATE } from '../../src/location/store-feed.ts';
import { phone, StoreWorld, until } from './store-world.ts';

const CHANGES_PER_TURN = 50;
const AORS = 1000;

const world = await new StoreWorld(process.argv[2]!).open();
let change = 0;
const register = () => {
  for (let i = 0; i < CHANGES_PER_TURN; i++, change++) {
    world.set(`sip:${change % AORS}@b`, [{ ...phone(change + 1), path: 'p'.repeat(300 + change) }]);
  }
  return world.store.state === STORE_STATE.FAILED;
};
await until(register, 'the store to be full');
register();
const isServing = world.producers[0]!.isCommitted(world.set('sip:last@b', [phone(1)]));
await until(() => world.events.length > 0, 'the message');
const events = [...world.events];
await world.store.close();
process.stdout.write(JSON.stringify({ isServing, events, aors: world.table.aors().length }));
