// Who is here and what they publish: the fold of the server's state and events, as objects that stay the same.
import type { Clock } from "./platform.ts";
import type { Event, MemberId, MemberInfo, RoomState, TrackId, TrackInfo } from "./protocol.ts";
import { RemoteParticipant, RemoteTrackPublication } from "./remote.ts";

/** What changed. */
export type RosterChange =
  | { type: "joined"; participant: RemoteParticipant }
  | { type: "left"; participant: RemoteParticipant }
  | { type: "listed"; participant: RemoteParticipant }
  | { type: "unlisted"; participant: RemoteParticipant }
  | { type: "updated"; participant: RemoteParticipant }
  | { type: "audience"; viewers: number }
  | { type: "published"; participant: RemoteParticipant; publication: RemoteTrackPublication }
  | { type: "unpublished"; participant: RemoteParticipant; publication: RemoteTrackPublication }
  | { type: "muted"; participant: RemoteParticipant; publication: RemoteTrackPublication }
  | { type: "speaking"; speakers: MemberId[] }
  | { type: "dominant"; member: MemberId | null };

/** Pure but for the objects it keeps. Own memberships, the present and the former, are not in it. */
export class Roster {
  readonly participants = new Map<MemberId, RemoteParticipant>();
  readonly #own = new Set<MemberId>();
  readonly #clock: Clock;
  #speaking: MemberId[] = [];
  #dominant: MemberId | null = null;
  /** How many are counted, oneself perhaps included. */
  #counted = 0;
  #member: MemberId | null = null;
  #isListed = true;
  #epoch = 0;
  #seq = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Who speaks, oneself included. */
  get speakers(): readonly MemberId[] {
    return this.#speaking;
  }

  /** Who leads the conversation, perhaps oneself. */
  get dominant(): MemberId | null {
    return this.#dominant;
  }

  /** How many others are here who are not among the participants: a large room lists those who do something. */
  get viewers(): number {
    return Math.max(0, this.#counted - (this.#isListed ? 0 : 1));
  }

  /** Whether this is, or once was, the id of this client. */
  isOwn(member: MemberId): boolean {
    return this.#own.has(member);
  }

  /** A track of somebody else. */
  publication(track: TrackId): RemoteTrackPublication | undefined {
    for (const participant of this.participants.values()) {
      const publication = participant.publications.get(track);
      if (publication !== undefined) return publication;
    }
    return undefined;
  }

  /** All tracks of others. */
  *publications(): Iterable<RemoteTrackPublication> {
    for (const participant of this.participants.values()) yield* participant.publications.values();
  }

  /** Takes a whole state, as after joining or coming back; gives the differences. */
  handleState(own: MemberId, state: RoomState): RosterChange[] {
    const changes: RosterChange[] = [];
    if (state.epoch !== this.#epoch) {
      // Another life of the room may give the same ids to others.
      this.#own.clear();
      changes.push(...[...this.participants.keys()].flatMap((member) => this.#leave(member)));
    }
    this.#own.add(own);
    this.#member = own;
    const wasCounting = this.#counted > 0;
    const viewers = this.viewers;
    this.#epoch = state.epoch;
    this.#seq = state.seq;
    for (const participant of [...this.participants.values()]) {
      if (!state.members.some((member) => member.id === participant.id)) {
        // Of who is not listed in a large room nobody knows whether they are there.
        changes.push(...this.#leave(participant.id, state.viewers > 0 ? "unlisted" : "left"));
      }
    }
    for (const participant of this.participants.values()) {
      for (const id of [...participant.publications.keys()]) {
        if (!state.tracks.some((track) => track.id === id)) {
          changes.push(...this.#unpublish(participant.id, id));
        }
      }
    }
    changes.push(...state.members.flatMap((member) => this.#join(member, wasCounting ? "listed" : "joined")));
    this.#isListed = state.members.some((member) => member.id === own);
    this.#counted = state.viewers;
    if (this.viewers !== viewers) changes.push({ type: "audience", viewers: this.viewers });
    changes.push(...state.tracks.flatMap((track) => this.#publish(track)));
    changes.push(...this.#speak(state.speaking), ...this.#lead(state.dominantSpeaker));
    return changes;
  }

  /** Folds one event in. Events that are already in it change nothing. */
  handleEvent(event: Event): RosterChange[] {
    if (event.seq <= this.#seq) return [];
    this.#seq = event.seq;
    switch (event.type) {
      case "joined":
        return this.#join(event.member);
      case "left":
        return [
          ...this.#leave(event.member),
          ...this.#speak(this.#speaking.filter((member) => member !== event.member)),
          ...this.#lead(this.#dominant === event.member ? null : this.#dominant),
        ];
      case "memberUpdated": {
        const participant = this.participants.get(event.member);
        return participant?.handleUpdated(event) === true ? [{ type: "updated", participant }] : [];
      }
      case "audience":
        return this.#handleAudience(event);
      case "published":
        return this.#publish(event.track);
      case "unpublished":
        return this.#unpublish(event.member, event.track);
      case "muted":
        return this.#mute(event.member, event.track, event.muted);
      case "speaking": {
        const others = this.#speaking.filter((member) => member !== event.member);
        return this.#speak(event.speaking ? [...others, event.member] : others);
      }
      case "dominantSpeaker":
        return this.#lead(event.member);
      case "restarted":
        return this.#handleRestart(event);
      default:
        return [];
    }
  }

  /** Those are there who were when the server ended, but nobody speaks. */
  #handleRestart({ seq, members, viewers, tracks }: Extract<Event, { type: "restarted" }>): RosterChange[] {
    if (this.#member === null) return [];
    const quiet = { speaking: [], dominantSpeaker: null, closed: false };
    const state = { room: "", epoch: this.#epoch, seq, members, viewers, tracks, ...quiet };
    return this.handleState(this.#member, state);
  }

  #handleAudience(event: Extract<Event, { type: "audience" }>): RosterChange[] {
    const viewers = this.viewers;
    const counted = event.counted ?? [];
    const listed = event.listed ?? [];
    if (counted.some((member) => member === this.#member)) this.#isListed = false;
    if (listed.some((member) => member.id === this.#member)) this.#isListed = true;
    this.#counted = event.viewers;
    const changes = [
      ...counted.flatMap((member) => this.#leave(member, "unlisted")),
      ...listed.flatMap((member) => this.#join(member, "listed")),
    ];
    return this.viewers === viewers ? changes : [...changes, { type: "audience", viewers: this.viewers }];
  }

  #join(member: MemberInfo, type: "joined" | "listed" = "joined"): RosterChange[] {
    if (this.#own.has(member.id)) return [];
    const known = this.participants.get(member.id);
    if (known !== undefined)
      return known.handleMember(member) ? [{ type: "updated", participant: known }] : [];
    const participant = new RemoteParticipant(member);
    this.participants.set(member.id, participant);
    return [{ type, participant }];
  }

  #leave(member: MemberId, type: "left" | "unlisted" = "left"): RosterChange[] {
    const participant = this.participants.get(member);
    if (participant === undefined) return [];
    const gone = [...participant.publications.keys()].flatMap((track) => this.#unpublish(member, track));
    this.participants.delete(member);
    participant.handleSpeaking(false);
    return [...gone, { type, participant }];
  }

  #publish(track: TrackInfo): RosterChange[] {
    const participant = this.participants.get(track.member);
    if (participant === undefined) return [];
    const known = participant.publications.get(track.id);
    if (known !== undefined) {
      const muted = known.muted !== track.muted;
      known.handleInfo(track);
      return muted ? [{ type: "muted", participant, publication: known }] : [];
    }
    const publication = new RemoteTrackPublication(track, this.#clock);
    participant.publications.set(track.id, publication);
    return [{ type: "published", participant, publication }];
  }

  #unpublish(member: MemberId, track: TrackId): RosterChange[] {
    const participant = this.participants.get(member);
    const publication = participant?.publications.get(track);
    if (participant === undefined || publication === undefined) return [];
    participant.publications.delete(track);
    return [{ type: "unpublished", participant, publication }];
  }

  #mute(member: MemberId, track: TrackId, muted: boolean): RosterChange[] {
    const participant = this.participants.get(member);
    const publication = participant?.publications.get(track);
    if (participant === undefined || publication === undefined || publication.muted === muted) return [];
    publication.handleMuted(muted);
    return [{ type: "muted", participant, publication }];
  }

  #lead(member: MemberId | null): RosterChange[] {
    if (member === this.#dominant) return [];
    this.#dominant = member;
    return [{ type: "dominant", member }];
  }

  #speak(speakers: MemberId[]): RosterChange[] {
    const same =
      speakers.length === this.#speaking.length && speakers.every((m, index) => m === this.#speaking[index]);
    this.#speaking = speakers;
    for (const participant of this.participants.values()) {
      participant.handleSpeaking(speakers.includes(participant.id));
    }
    return same ? [] : [{ type: "speaking", speakers }];
  }
}
