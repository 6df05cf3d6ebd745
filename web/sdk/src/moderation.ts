// How the room is set up, what one may do in it, and for those who moderate: who waits to be let in.
import type { Event, Grants, Knock, MemberId, Role, RoomSettings, ServerMessage } from "./protocol.ts";

/** What changed. */
export type ModerationChange =
  | { type: "knock"; knock: Knock }
  | { type: "knockEnded"; knock: Knock }
  | { type: "settings"; settings: RoomSettings }
  | { type: "role"; member: MemberId; role: Role };

/** Most people who wait that are remembered; the server lets 200 wait. */
const MAX_KNOCKS = 200;

/** What the server tells of it, kept. Everything is void with another membership. */
export class Moderation {
  readonly knocks = new Map<string, Knock>();
  /** Roles that changed while one was here. */
  readonly roles = new Map<MemberId, Role>();
  #grants: Grants | null = null;
  #settings: RoomSettings | null = null;

  get grants(): Grants | null {
    return this.#grants;
  }

  get settings(): RoomSettings | null {
    return this.#settings;
  }

  /** In the room as a new member. */
  handleWelcome(grants: Grants, settings: RoomSettings | undefined): void {
    this.knocks.clear();
    this.roles.clear();
    this.#grants = grants;
    this.#settings = settings ?? null;
  }

  handleGrants(grants: Grants): void {
    this.#grants = grants;
    if (!grants.admin) this.knocks.clear();
  }

  /** A whole state came while the membership went on. */
  handleSettings(settings: RoomSettings | undefined): ModerationChange[] {
    if (settings === undefined || settings.version === this.#settings?.version) return [];
    this.#settings = settings;
    return [{ type: "settings", settings }];
  }

  /** Everybody who waits, as after an absence. */
  handleKnocks(knocks: readonly Knock[]): ModerationChange[] {
    const ended = [...this.knocks.keys()].filter((id) => !knocks.some((knock) => knock.id === id));
    return [...ended.flatMap((id) => this.#end(id)), ...knocks.flatMap((knock) => this.#knock(knock))];
  }

  handleMessage(message: Extract<ServerMessage, { type: "knock" | "knockEnded" }>): ModerationChange[] {
    return message.type === "knock" ? this.#knock(message.knock) : this.#end(message.knock);
  }

  handleEvent(event: Event): ModerationChange[] {
    switch (event.type) {
      case "permissionsChanged":
        this.roles.set(event.member, event.role);
        return [{ type: "role", member: event.member, role: event.role }];
      case "left":
        this.roles.delete(event.member);
        return [];
      case "roomUpdated":
        return this.handleSettings(event.settings);
      default:
        return [];
    }
  }

  #knock(knock: Knock): ModerationChange[] {
    if (this.knocks.has(knock.id) || this.knocks.size >= MAX_KNOCKS) return [];
    this.knocks.set(knock.id, knock);
    return [{ type: "knock", knock }];
  }

  #end(id: string): ModerationChange[] {
    const knock = this.knocks.get(id);
    if (knock === undefined) return [];
    this.knocks.delete(id);
    return [{ type: "knockEnded", knock }];
  }
}
