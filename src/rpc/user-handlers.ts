/** The calls of UserService. */
import type { HandlerContext, ServiceImpl } from '@connectrpc/connect';
import type {
  GetUserProfilesRequest,
  GetUserProfilesResponse,
  UpsertUserProfileRequest,
  UpsertUserProfileResponse,
  UserService,
} from '../../gen/carepro/chat/v1/user_service_pb.ts';
import { invalidField } from '../core/errors.ts';
import type { Profiles } from '../core/profiles.ts';
import { identityOf } from './call.ts';
import { fromProfile, toProfile } from './convert.ts';

export function createUserHandlers(profiles: Profiles): ServiceImpl<typeof UserService> {
  return {
    async upsertUserProfile(
      request: UpsertUserProfileRequest,
      context: HandlerContext,
    ): Promise<UpsertUserProfileResponse> {
      if (request.profile === undefined) throw invalidField('profile', 'must be set');
      const profile = await profiles.upsert(identityOf(context.values), fromProfile(request.profile));
      return { $typeName: 'carepro.chat.v1.UpsertUserProfileResponse', profile: toProfile(profile) };
    },

    async getUserProfiles(request: GetUserProfilesRequest, context: HandlerContext): Promise<GetUserProfilesResponse> {
      const found = await profiles.read(identityOf(context.values), request.userIds);
      const known = [...new Set(request.userIds)].flatMap((userId) => found.get(userId) ?? []);
      return { $typeName: 'carepro.chat.v1.GetUserProfilesResponse', profiles: known.map(toProfile) };
    },
  };
}
