import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Benchmarks,
  benchmarkRows,
  renderForm,
  setupRows,
  type TestSetup,
  wrap,
} from '../../../../perf/bench/search/form.ts';

const SETUP: TestSetup = {
  transport: 'UDP',
  connections: null,
  initialRatePerSec: 100,
  sessionDurationSec: 0,
  sessionsPerTrial: 50_000,
  trials: 38,
  media: null,
  establishmentThresholdSec: 32,
};

const BENCHMARKS: Benchmarks = {
  sessionEstablishmentRatePerSec: 458,
  isMediaRelay: false,
  registrationRatePerSec: null,
  reregistrationRatePerSec: null,
  notes: ['One UDP socket.', 'The location store was off.'],
};

const FORM = `strowger, RFC 7502 6.2: Session Establishment Rate without Media

  RFC 7502 5.1  Test Setup Report
    SIP Transport Protocol                    = UDP, to the DUT and from it
    DUT receives requests on one connection   = not applicable, UDP has none
    DUT sends requests on one connection      = not applicable, UDP has none
    Session Attempt Rate                      = 100 a second (the initial r)
    Session Duration                          = 0 s (BYE at once after the 200)
    Total Sessions Attempted                  = 50000 (N) in each trial, 1900000 in 38 trials
    Media Streams per Session                 = 0
    Associated Media Protocol                 = not applicable, no media
    Codec                                     = not applicable, no media
    Media Packet Size (audio only)            = not applicable, no media
    Establishment Threshold time              = 32 s
    TLS ciphersuite used                      = none
    IPsec profile used                        = none

  RFC 7502 5.2  Device Benchmarks for Session Setup
    Session Establishment Rate, "R"           = 458 sessions per second
    Is DUT acting as a media relay? (yes/no)  = no

  RFC 7502 5.3  Device Benchmarks for Registrations
    Registration Rate                         = not measured by this test case
    Re-registration Rate                      = not measured by this test case
    Notes                                     = One UDP socket.
                                                The location store was off.`;

function valueIn(rows: ReturnType<typeof setupRows>, label: string): string {
  return rows.find(({ row }) => row === label)!.value;
}

describe('RFC 7502 5, the reporting format', () => {
  it('is filled in line by line', () => {
    expect(renderForm('strowger, RFC 7502 6.2: Session Establishment Rate without Media', SETUP, BENCHMARKS)).toBe(
      FORM,
    );
  });

  it('5.1 names the media, where there are some', () => {
    const media = { streamsPerSession: 1, protocol: 'RTP', codec: 'PCMU (ITU-T G.711 µ-law)', packetBytes: 160 };
    const rows = setupRows({ ...SETUP, media, sessionDurationSec: 0.5 });
    expect(valueIn(rows, 'Media Streams per Session')).toBe('1');
    expect(valueIn(rows, 'Associated Media Protocol')).toBe('RTP');
    expect(valueIn(rows, 'Codec')).toBe('PCMU (ITU-T G.711 µ-law)');
    expect(valueIn(rows, 'Media Packet Size (audio only)')).toBe('160 bytes');
    expect(valueIn(rows, 'Session Duration')).toBe('0.5 s');
  });

  it('5.1 reports how connections were used, where the transport has them', () => {
    const rows = setupRows({ ...SETUP, transport: 'TCP', connections: { receivesOnOne: true, sendsOnOne: false } });
    expect(valueIn(rows, 'DUT receives requests on one connection')).toBe('yes');
    expect(valueIn(rows, 'DUT sends requests on one connection')).toBe('no');
  });

  it('5.3 has both rates of a registrar, and a registration has no duration', () => {
    const rows = benchmarkRows({
      ...BENCHMARKS,
      sessionEstablishmentRatePerSec: null,
      isMediaRelay: null,
      registrationRatePerSec: 9000,
      reregistrationRatePerSec: 9500,
    });
    expect(valueIn(rows, 'Registration Rate')).toBe('9000 registrations per second');
    expect(valueIn(rows, 'Re-registration Rate')).toBe('9500 registrations per second');
    expect(valueIn(rows, 'Session Establishment Rate, "R"')).toBe('not measured by this test case');
    expect(valueIn(setupRows({ ...SETUP, sessionDurationSec: null }), 'Session Duration')).toContain('registration');
  });

  it('a rate of nought is no rate, and is not printed as one', () => {
    const rows = benchmarkRows({ ...BENCHMARKS, sessionEstablishmentRatePerSec: 0 });
    expect(valueIn(rows, 'Session Establishment Rate, "R"')).toBe(
      'none found: some sessions failed at every rate tried',
    );
  });

  it('long notes stay under their label, within 100 columns', () => {
    const notes = Array.from({ length: 12 }, (_, i) => `Note ${i} says something about the back end.`);
    const lines = renderForm('t', SETUP, { ...BENCHMARKS, notes }).split('\n');
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(100);
    const at = lines.findIndex((line) => line.includes('Notes'));
    for (const line of lines.slice(at + 1)) expect(line).toMatch(/^ {48}\S/);
  });

  it('wrapping loses no word', () => {
    fc.assert(
      fc.property(
        fc.array(fc.stringMatching(/^\S{1,30}$/), { minLength: 1 }),
        fc.integer({ min: 5, max: 80 }),
        (words, columns) => {
          const lines = wrap(words.join(' '), columns);
          expect(lines.join(' ')).toBe(words.join(' '));
          for (const line of lines) expect(line.length <= columns || !line.includes(' ')).toBe(true);
        },
      ),
    );
  });
});
