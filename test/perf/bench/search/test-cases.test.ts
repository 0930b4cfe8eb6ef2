import { describe, expect, it } from 'vitest';
import { OptionsError } from '../../../../perf/bench/options.ts';
import { readSearchOptions } from '../../../../perf/bench/search/options.ts';
import { parseTestCases } from '../../../../perf/bench/search/test-cases.ts';

const idsOf = (text: string) => parseTestCases(text).map(({ id }) => id);

describe('test cases of RFC 7502 6', () => {
  it('plays them in the order of the RFC, whatever was typed, and each once', () => {
    expect(idsOf('6.7, 6.1,6.2,6.1')).toEqual(['6.1', '6.2', '6.7']);
    expect(idsOf('all')).toEqual(['6.1', '6.2', '6.3', 'extra', '6.7', '6.8']);
  });

  it('registers the users of 6.8 first (6.8, step 2)', () => {
    expect(idsOf('6.8')).toEqual(['6.7', '6.8']);
  });

  it.each([
    ['6.4', 'test case 6.4 is not scripted, it needs a DUT that relays media'],
    ['6.5', 'test case 6.5 is not scripted, it needs SIP over TLS'],
    ['6.6', 'test case 6.6 is not scripted, it needs IPsec'],
    ['7.1', 'there is no test case 7.1'],
    ['', 'there is no test case '],
    ['toString', 'there is no test case toString'],
  ])('says why there is no %j, and what there is', (text, why) => {
    expect(() => parseTestCases(text)).toThrow(`${why}: choose from 6.1, 6.2, 6.3, extra, 6.7, 6.8, or all`);
  });
});

describe('flags of a search', () => {
  function read(values: { readonly [name: string]: string }, serverArgs: readonly string[] = []) {
    return readSearchOptions({
      target: undefined,
      valueFor: (name) => values[name],
      has: (name) => Object.hasOwn(values, name),
      serverArgs,
      words: [],
    });
  }

  it('has the values of the RFC by default: N, r, w, d, count of 4.10, and Timer B', () => {
    expect(read({ search: '7502' })).toMatchObject({
      parameters: {
        sessions: 50_000,
        initialRatePerSec: 100,
        increaseWeight: 0.1,
        decreaseWeight: 0.1,
        passesToConverge: 10,
      },
      establishmentThresholdSec: 32,
      reregistrationWaitSec: 300,
      resolution: 0.01,
      cases: [{ id: '6.1' }, { id: '6.2' }],
    });
  });

  it('takes each of them from the command line', () => {
    const values = {
      search: '7502',
      amount: '1000',
      rate: '400',
      increase: '.5',
      decrease: '0.2',
      passes: '3',
      trials: '9',
      threshold: '4',
      wait: '310',
      refine: '0.02',
      hold: '1500',
      cases: '6.3',
    };
    expect(read(values)).toMatchObject({
      parameters: {
        sessions: 1000,
        initialRatePerSec: 400,
        increaseWeight: 0.5,
        decreaseWeight: 0.2,
        passesToConverge: 3,
        maxTrials: 9,
      },
      establishmentThresholdSec: 4,
      reregistrationWaitSec: 310,
      resolution: 0.02,
      sessionDurationSec: { plain: 1.5, media: 1.5 },
    });
    expect(read({ search: '7502', refine: 'off' })?.resolution).toBeNull();
  });

  it('derives d from w as the RFC does', () => {
    expect(read({ search: '7502', increase: '0.6' })?.parameters.decreaseWeight).toBe(0.3);
  });

  it('is no search without --search, and its flags mean nothing then', () => {
    expect(read({ rate: '100' })).toBeNull();
    expect(() => read({ passes: '3' })).toThrow('--passes goes with --search 7502 only');
  });

  it.each([
    [{ search: '2544' }, '--search is 7502'],
    [{ search: '7502', increase: '1.5' }, '--increase is a number from 0 to 1, not 1.5'],
    [{ search: '7502', increase: '0' }, '--increase is above 0 and up to 1, not 0'],
    [{ search: '7502', rate: '9' }, '--rate 9 never grows by 0.1 of itself; it takes at least 10'],
    [{ search: '7502', amount: '1.5' }, '--amount is a whole number from 1, not 1.5'],
    [{ search: '7502', amount: 'many' }, '--amount is a number from 1 to'],
    [{ search: '7502', cases: '6.5' }, '--cases: test case 6.5 is not scripted'],
    [{ search: '7502', duration: '10' }, '--duration does not go with --search 7502: a trial ends with its sessions'],
    [{ search: '7502', 'no-baseline': '' }, '--no-baseline does not go with --search 7502'],
    [{ search: '7502', wait: '601' }, '--wait is a number from 0 to 600, not 601'],
  ])('refuses %j by the name of the flag', (values, message) => {
    expect(() => read(values as { [name: string]: string })).toThrow(OptionsError);
    expect(() => read(values as { [name: string]: string })).toThrow(message);
  });

  it('does not let a stateless proxy pass for a device of the RFC', () => {
    expect(() => read({ search: '7502' }, ['--mode', 'stateless'])).toThrow('give --cases 6.1,extra');
    expect(read({ search: '7502', cases: '6.1,extra' }, ['--mode', 'stateless'])).not.toBeNull();
    expect(read({ search: '7502' }, ['--mode', 'stateful'])).not.toBeNull();
  });
});
